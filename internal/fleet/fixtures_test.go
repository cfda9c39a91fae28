package fleet

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// repository builds the tree of a fixture: the base fleet with the fixture's
// files on top. A section "want" is not part of the tree.
func repository(t testing.TB, fixture *txtar.Archive) fstest.MapFS {
	t.Helper()
	tree := fstest.MapFS{}
	add := func(a *txtar.Archive) {
		for _, f := range a.Files {
			if f.Name != "want" {
				tree["kubernetes/ansible/"+f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
			}
		}
	}
	base, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	add(base)
	add(fixture)
	for line := range strings.Lines(string(fixture.Comment)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "remove: "); ok {
			name = "kubernetes/ansible/" + name
			found := false
			for file := range tree {
				if file == name || strings.HasPrefix(file, name+"/") {
					delete(tree, file)
					found = true
				}
			}
			if !found {
				t.Fatalf("remove: %s: no such file in the base", name)
			}
		}
	}
	return tree
}

// describe writes what the loader understood, for golden files.
func describe(f *Fleet) string {
	var b strings.Builder
	for _, s := range f.Sites {
		fmt.Fprintf(&b, "site %s\n", s.Name)
		for _, n := range s.Nodes {
			fmt.Fprintf(&b, "  %s %s %s ssh %s\n", n.Role, n.Name, n.Address, n.SSHHost)
		}
		for _, fact := range facts() {
			fmt.Fprintf(&b, "  %s %v\n", fact.name, reflect.ValueOf(fact.field(&s.Facts)).Elem().Interface())
		}
	}
	return b.String()
}

// variablesOf writes what the variables that are no facts come to on each host,
// so that precedence is tested where there is no Ansible too.
func variablesOf(t *testing.T, repo fs.FS, fleet *Fleet) string {
	known := map[string]bool{}
	for _, name := range nodeVariables() {
		known[name] = true
	}
	for _, f := range facts() {
		known[f.name] = true
	}
	var b strings.Builder
	for _, s := range fleet.Sites {
		inv := newInventory(newLoader(repo), s.Name)
		inv.load()
		for _, h := range inv.order {
			vars, names := inv.variables(h), map[string]bool{}
			for _, layer := range vars {
				for name := range layer {
					names[name] = !known[name]
				}
			}
			for _, name := range slices.Sorted(maps.Keys(names)) {
				if v, _ := vars.lookup(name); names[name] {
					fmt.Fprintf(&b, "%s %s %#v\n", h.name, name, plainValue(t, inv, v.node))
				}
			}
		}
	}
	return b.String()
}

func fixtures(t testing.TB, kind string) map[string]*txtar.Archive {
	t.Helper()
	files, err := filepath.Glob("testdata/" + kind + "/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*txtar.Archive{}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = a
	}
	return all
}

// golden compares got with the section "want" of a fixture.
func golden(t *testing.T, file string, a *txtar.Archive, got string) {
	t.Helper()
	at := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
	if *update {
		if at < 0 {
			a.Files = append(a.Files, txtar.File{Name: "want"})
			at = len(a.Files) - 1
		}
		a.Files[at].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if at < 0 {
		t.Fatal("the fixture has no section want; run go test -update and read what it adds")
	}
	if want := string(a.Files[at].Data); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func report(t testing.TB, repo fs.FS, findings []finding.Finding) string {
	t.Helper()
	var b bytes.Buffer
	if err := finding.Text(&b, repo, findings, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRejected(t *testing.T) {
	all := fixtures(t, "rejected")
	if len(all) < 25 {
		t.Errorf("%d rejected fixtures, want at least 25", len(all))
	}
	for file, a := range all {
		t.Run(filepath.Base(file), func(t *testing.T) {
			repo := repository(t, a)
			_, findings := Load(repo)
			if len(findings) == 0 {
				t.Error("no finding")
			}
			for _, f := range findings {
				if f.Message == "" || f.Fix == "" || f.Position.File == "" {
					t.Errorf("finding without message, fix or file: %+v", f)
				}
				if _, err := fs.Stat(repo, f.Position.File); err != nil && f.Rule != "fact-missing" && f.Rule != "sites-missing" {
					t.Errorf("%s points at %s, which does not exist", f.Rule, f.Position.File)
				}
			}
			golden(t, file, a, report(t, repo, findings))
		})
	}
}

func TestAccepted(t *testing.T) {
	all := fixtures(t, "accepted")
	if len(all) < 15 {
		t.Errorf("%d accepted fixtures, want at least 15", len(all))
	}
	for file, a := range all {
		t.Run(filepath.Base(file), func(t *testing.T) {
			repo := repository(t, a)
			fleet, findings := Load(repo)
			for _, f := range findings {
				if f.Severity == finding.Error {
					t.Error(report(t, repo, []finding.Finding{f}))
				}
			}
			golden(t, file, a, describe(fleet)+variablesOf(t, repo, fleet)+report(t, repo, findings))
		})
	}
}

// TestAnsible compares groups, hosts and every variable of the accepted
// fixtures with what Ansible makes of the same files.
func TestAnsible(t *testing.T) {
	program := ansible(t)
	for file, a := range fixtures(t, "accepted") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			repo := repository(t, a)
			fleet, _ := Load(repo)
			for _, s := range fleet.Sites {
				// A site that the fixture leaves alone is compared once.
				if s.Name == "site-a" || filepath.Base(file) == "two-sites.txtar" {
					compareAnsible(t, program, s.Name, repo)
				}
			}
		})
	}
}

// TestAnsibleRefuses checks that where archipel says that Ansible refuses a
// file, it does.
func TestAnsibleRefuses(t *testing.T) {
	program := ansible(t)
	for file, a := range fixtures(t, "rejected") {
		name := filepath.Base(file)
		// Ansible takes a reversed range as empty, and a huge one until memory ends.
		if name == "host-range-reversed.txtar" || name == "host-range-huge.txtar" {
			continue
		}
		repo := repository(t, a)
		_, findings := Load(repo)
		refused := slices.ContainsFunc(findings, func(f finding.Finding) bool {
			rules := []string{"yaml-syntax", "yaml-tab", "yaml-unsupported", "inventory-invalid", "group-cycle", "host-range-invalid"}
			return slices.Contains(rules, f.Rule)
		})
		if !refused {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stderr, err := inventoryList(t, program, "site-a", repo)
			if err == nil && !strings.Contains(stderr, "Failed to parse inventory") {
				t.Errorf("Ansible accepts the inventory:\n%s\n%s", report(t, repo, findings), stderr)
			}
		})
	}
}

// ansible returns the program to compare with.
func ansible(t *testing.T) string {
	t.Helper()
	if program := os.Getenv("ARCHIPEL_ANSIBLE_INVENTORY"); program != "" {
		return program
	}
	program, err := exec.LookPath("ansible-inventory")
	if err != nil {
		t.Skip("ansible-inventory is neither in PATH nor named by ARCHIPEL_ANSIBLE_INVENTORY")
	}
	return program
}

// inventoryList runs Ansible on one site as archipel's playbooks are run.
func inventoryList(t *testing.T, program, site string, repo fs.FS) (out []byte, stderr string, err error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, repo); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-i", "inventories/fleet.yml", "-i", "inventories/"+site, "--list")
	cmd.Dir = filepath.Join(dir, "kubernetes", "ansible")
	config := filepath.Join(dir, "ansible.cfg") // empty: Ansible's defaults, whatever the machine is set to
	if err := os.WriteFile(config, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "ANSIBLE_CONFIG="+config, "HOME="+dir, "LC_ALL=C.UTF-8")
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err = cmd.Output()
	return out, errors.String(), err
}

func compareAnsible(t *testing.T, program, site string, repo fs.FS) {
	t.Helper()
	out, stderr, err := inventoryList(t, program, site, repo)
	if err != nil {
		t.Fatalf("%s: %v\n%s", site, err, stderr)
	}
	var groups map[string]struct {
		Hosts    []string
		Children []string
	}
	var meta struct {
		Meta struct {
			Hostvars map[string]map[string]any
		} `json:"_meta"`
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	dec.UseNumber()
	if err := dec.Decode(&meta); err != nil {
		t.Fatalf("%s: %v\n%s", site, err, out)
	}
	if err := json.Unmarshal(out, &groups); err != nil {
		t.Fatal(err)
	}

	inv := newInventory(newLoader(repo), site)
	inv.load()
	for name, g := range inv.groups {
		var hosts []string
		for _, h := range g.hosts {
			hosts = append(hosts, h.name)
		}
		if name != "all" && !slices.Equal(hosts, groups[name].Hosts) {
			t.Errorf("%s: group %s has hosts %v, Ansible says %v", site, name, hosts, groups[name].Hosts)
		}
	}
	for _, h := range inv.order {
		theirs := meta.Meta.Hostvars[h.name]
		ours := map[string]any{}
		for _, layer := range inv.variables(h) {
			for name, v := range layer {
				ours[name] = plainValue(t, inv, v.node)
			}
		}
		delete(theirs, "ansible_port") // of the pattern host:port, which archipel does not need
		for name := range theirs {
			if _, ok := ours[name]; !ok {
				t.Errorf("%s: %s: Ansible has %s, archipel does not", site, h.name, name)
			}
		}
		for name, v := range ours {
			if got, want := fmt.Sprintf("%#v", v), fmt.Sprintf("%#v", normal(theirs[name])); got != want {
				t.Errorf("%s: %s: %s is %s, Ansible says %s", site, h.name, name, got, want)
			}
		}
	}
	if len(inv.order) != len(meta.Meta.Hostvars) {
		t.Errorf("%s: %d hosts, Ansible says %d", site, len(inv.order), len(meta.Meta.Hostvars))
	}
}

// normal gives numbers of JSON the type that plainValue uses.
func normal(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return int(n)
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
	case map[string]any:
		if _, ok := v["__ansible_vault"]; ok {
			return isEncrypted
		}
		if text, ok := v["__ansible_unsafe"]; ok {
			return text
		}
		for k := range v {
			v[k] = normal(v[k])
		}
	}
	return v
}

// plainValue converts a node to what Ansible shows of it.
func plainValue(t *testing.T, inv *inventory, n *yaml.Node) any {
	n = target(n)
	switch k := inv.types.kindOf(n); k {
	case isNull:
		return nil
	case isBool:
		return slices.Contains([]string{"yes", "true", "on"}, strings.ToLower(n.Value))
	case isInt:
		i, ok := integer(n.Value)
		if !ok {
			t.Fatalf("no integer: %q", n.Value)
		}
		return i
	case isFloat:
		f, err := strconv.ParseFloat(strings.ReplaceAll(n.Value, "_", ""), 64)
		if err != nil {
			return math.NaN()
		}
		return f
	case isList:
		list := []any{}
		for _, c := range n.Content {
			list = append(list, plainValue(t, inv, c))
		}
		return list
	case isMapping:
		m := map[string]any{}
		for _, p := range pairs(n) {
			m[p.key.Value] = plainValue(t, inv, p.node)
		}
		return m
	case isEncrypted:
		return k
	}
	return n.Value
}
