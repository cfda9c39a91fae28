package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"archipel/internal/archtest"
	"archipel/internal/finding"
)

// checkout is this repository, from the directory of the package.
const checkout = "../.."

// generated builds a fleet of n good sites, each with three nodes.
func generated(n int) fstest.MapFS {
	tree := fstest.MapFS{}
	put := func(name, text string) { tree[inventories+"/"+name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644} }
	put("fleet.yml", `all:
  vars:
    git_url: https://git.archipel.example/archipel.git
    git_branch: main
    k3s_version: v1.36.4+k3s1
    flux_version: v2.9.5
    cilium_version: 1.20.2
    metallb_version: 0.16.2
    native_routing_cidr: 10.0.0.0/9
    interconnect: wireguard
    node_interface: enp1s0
    mesh_max_clusters: 255
`)
	for i := 1; i <= n; i++ {
		site := fmt.Sprintf("site-%03d", i)
		put(site+"/hosts.yml", fmt.Sprintf("all:\n  children:\n    servers:\n      hosts:\n        %[1]s-server-1: {ansible_host: 172.16.%[2]d.11}\n"+
			"    agents:\n      hosts:\n        %[1]s-agent-1: {ansible_host: 172.16.%[2]d.21}\n        %[1]s-agent-2: {ansible_host: 172.16.%[2]d.22}\n", site, i))
		put(site+"/group_vars/all/main.yml", fmt.Sprintf("cluster_id: %[1]d\nnode_cidr: 172.16.%[1]d.0/24\npod_cidr: 10.%[2]d.%[3]d.0/18\nservice_cidr: 192.168.%[1]d.0/24\n"+
			"load_balancer_ranges:\n  - 172.16.%[1]d.200-172.16.%[1]d.239\nmesh_api_address: 172.16.%[1]d.200\n", i, i/4, i%4*64))
	}
	return tree
}

func rules(findings []finding.Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, f.Rule)
	}
	return all
}

func TestCheckout(t *testing.T) {
	repo := os.DirFS(checkout)
	fleet, findings := Load(repo)
	if len(findings) > 0 {
		t.Error(report(t, repo, findings))
	}
	if len(fleet.Sites) < 2 {
		t.Fatalf("%d sites", len(fleet.Sites))
	}
	for _, s := range fleet.Sites {
		if len(s.Servers()) == 0 || s.Facts.ClusterDNS != plus(s.Facts.ServiceCIDR.Addr(), 10) {
			t.Errorf("%s: servers %v, DNS %s", s.Name, s.Servers(), s.Facts.ClusterDNS)
		}
		if at := s.Position("pod_cidr"); at.File == "" || at.Line == 0 || at.Column != len("pod_cidr: ")+1 {
			t.Errorf("%s: position of pod_cidr is %+v", s.Name, at)
		}
	}
}

func TestManySites(t *testing.T) {
	fleet, findings := Load(generated(200))
	if len(findings) > 0 || len(fleet.Sites) != 200 {
		t.Errorf("%d sites, findings %v", len(fleet.Sites), rules(findings))
	}
}

func TestMeshFull(t *testing.T) {
	repo := generated(256)
	_, findings := Load(repo)
	if got := rules(findings); !slices.Contains(got, "mesh-full") {
		t.Errorf("findings %v", got)
	}
}

func TestNothing(t *testing.T) {
	fleet, findings := Load(fstest.MapFS{})
	if got := rules(findings); !slices.Equal(got, []string{"sites-missing"}) || len(fleet.Sites) != 0 {
		t.Errorf("findings %v, sites %v", got, fleet.Sites)
	}
	if _, err := fleet.Select([]string{"site-a"}); err == nil || !strings.Contains(err.Error(), "no site yet") {
		t.Errorf("error %v", err)
	}
}

func TestSelect(t *testing.T) {
	fleet, _ := Load(generated(20))
	for _, test := range []struct {
		names []string
		want  int
		err   string
	}{
		{nil, 20, ""},
		{[]string{"site-003", "site-001", "site-003"}, 2, ""},
		{[]string{"site-O01"}, 0, `unknown site "site-O01": did you mean "site-001"?`},
		{[]string{"elsewhere"}, 0, "site-012 and 8 more"},
	} {
		sites, err := fleet.Select(test.names)
		if len(sites) != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("Select(%v) = %d sites, %v", test.names, len(sites), err)
		}
	}
	sites, _ := fleet.Select([]string{"site-003", "site-001"})
	if sites[0].Name != "site-001" {
		t.Errorf("first selected site is %s", sites[0].Name)
	}
}

func TestRange(t *testing.T) {
	r := Range{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.20")}
	if r.String() != "192.0.2.10-192.0.2.20" {
		t.Error(r.String())
	}
	for address, want := range map[string]bool{"192.0.2.9": false, "192.0.2.10": true, "192.0.2.20": true, "192.0.2.21": false} {
		if got := r.Contains(netip.MustParseAddr(address)); got != want {
			t.Errorf("Contains(%s) = %v", address, got)
		}
	}
	if r.Contains(netip.Addr{}) {
		t.Error("the zero address is in the range")
	}
	for other, want := range map[string]bool{"192.0.2.0/29": false, "192.0.2.20-192.0.2.30": true, "192.0.2.21-192.0.2.30": false, "0.0.0.0/0": true, "192.0.2.12/32": true} {
		o, err := parseRange(other)
		if err != nil {
			t.Fatal(err)
		}
		if r.Overlaps(o) != want || o.Overlaps(r) != want {
			t.Errorf("Overlaps(%s) is not %v", other, want)
		}
	}
	if all, _ := parseRange("0.0.0.0/0"); all.String() != "0.0.0.0-255.255.255.255" {
		t.Error(all)
	}
}

func TestExpand(t *testing.T) {
	for pattern, want := range map[string]string{
		"a":                "a",
		"n[1:3]":           "n1 n2 n3",
		"n[08:11]":         "n08 n09 n10 n11",
		"n[01:10:4]x":      "n01x n05x n09x",
		"[y:B]":            "y z A B",
		"[:2]":             "0 1 2",
		"n[1:2]-[a:b].org": "n1-a.org n1-b.org n2-a.org n2-b.org",
		"n[0:0]":           "n0",
	} {
		got, err := expand(pattern, maxHosts)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("expand(%q) = %v, %v", pattern, got, err)
		}
	}
	for _, pattern := range []string{"n[", "n]1[", "n[1]", "n[1:2:3:4]", "n[1:]", "n[:]", "n[b:a]", "n[1:2:0]", "n[1:2:-1]", "n[a:2]", "n[-1:2]", "n[1:99999999999999999999]", "n[1:9999]-[1:9999]", "a|b[1:2]"} {
		if got, err := expand(pattern, maxHosts); err == nil {
			t.Errorf("expand(%q) = %d names", pattern, len(got))
		}
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{
		"pod_cdir": "pod_cidr", "PodCIDR": "pod_cidr", "pod-cidr": "pod_cidr", "Cluster-ID": "cluster_id", "mtuu": "", "cpu": "",
		"clusterid": "cluster_id", "node_cidrs": "node_cidr", "load_balancer_range": "load_balancer_ranges", "x": "",
	} {
		got, _ := nearest(name, []string{"pod_cidr", "node_cidr", "cluster_id", "mtu", "load_balancer_ranges"})
		if got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestSymbolicLinks checks that a link out of the repository is refused.
func TestSymbolicLinks(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "main.yml")
	if err := os.WriteFile(secret, []byte("cluster_id: 7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, generated(1)); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, filepath.FromSlash(inventories), "site-001", "group_vars", "all", "zz.yml")
	if err := os.Symlink(secret, link); err != nil {
		t.Skip(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	fleet, findings := Load(root.FS())
	if got := rules(findings); !slices.Equal(got, []string{"file-unreadable"}) || fleet.Sites[0].Facts.ClusterID != 1 {
		t.Errorf("findings %v, cluster id %d", got, fleet.Sites[0].Facts.ClusterID)
	}
}

// TestSecrets checks that no finding shows what may be a secret.
func TestSecrets(t *testing.T) {
	const canary = "CANARY"
	held := 0
	for file, a := range fixtures(t, "rejected") {
		repo := repository(t, a)
		for _, f := range repo {
			held += bytes.Count(f.Data, []byte(canary))
		}
		_, findings := Load(repo)
		var b bytes.Buffer
		if err := finding.JSON(&b, findings); err != nil {
			t.Fatal(err)
		}
		if text := report(t, repo, findings) + b.String(); strings.Contains(text, canary) {
			t.Errorf("%s shows the canary:\n%s", file, text)
		}
	}
	if held == 0 {
		t.Error("no fixture holds the canary")
	}
}

// schema compiles the generated schema.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("facts.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("facts.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance reads YAML as the validator wants it.
func instance(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestGeneratedSchema(t *testing.T) {
	archtest.Generated(t, filepath.Join(checkout, "docs", "reference", "facts.schema.json"), Schema(), *update)
}

func TestSchemaOfCheckout(t *testing.T) {
	s := schema(t)
	repo := os.DirFS(checkout)
	files, err := fs.Glob(repo, inventories+"/*/group_vars/all/main.yml")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, shared) {
		text, err := fs.ReadFile(repo, file)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(instance(t, text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestSchemaAgrees checks that the schema and the loader say the same of a
// value, in main.yml and in fleet.yml.
func TestSchemaAgrees(t *testing.T) {
	s := schema(t)
	samples := map[string]struct{ good, bad []string }{
		"git_url": {
			[]string{"https://example.org/a.git", "ssh://git@example.org:2222/a/b", "ssh://example.org/a", "https://[2001:db8::1]/a"},
			[]string{"http://example.org/a", "git@example.org:a", "https://u:p@example.org/a", "https://example.org", "ssh://u:p@example.org/a", "''", "7"},
		},
		"git_branch":      {[]string{"main", "release/1.x", "'on'"}, []string{"-x", "a b", "'a..'", "7", "/a"}},
		"k3s_version":     {[]string{"v1.36.4+k3s1"}, []string{"v1.36.4", "1.36.4+k3s1", "latest", "v1.36+k3s1", "v01.1.1+k3s1", "v1.36.4+k3s0"}},
		"flux_version":    {[]string{"v2.9.5", "v2.10.0"}, []string{"2.9.5", "v2.9", "v2.9.x", "'*'"}},
		"cilium_version":  {[]string{"1.20.2"}, []string{"v1.20.2", "1.20", "1.20.2-rc.1", "'>=1.20.2'"}},
		"metallb_version": {[]string{"0.16.2"}, []string{"v0.16.2", "0.16"}},
		"native_routing_cidr": {
			[]string{"10.64.0.0/10", "0.0.0.0/0"}, []string{"10.64.0.0", "10.64.0.0/33", "256.0.0.0/8", "fd00::/8", "010.0.0.0/8", "10.0.0.0/08"},
		},
		"interconnect":         {[]string{"wireguard", "none"}, []string{"Wireguard", "ipsec", "~"}},
		"node_interface":       {[]string{"enp1s0", "bond0.100"}, []string{"an-interface-too-long", "'a b'", "eth0/1"}},
		"mesh_max_clusters":    {[]string{"255", "511"}, []string{"256", "0", "'255'", "255.5"}},
		"cluster_id":           {[]string{"1", "511"}, []string{"0", "512", "-1", "one", "1.5"}},
		"node_cidr":            {[]string{"192.0.2.0/24"}, []string{"192.0.2.0/240"}},
		"pod_cidr":             {[]string{"10.1.0.0/16"}, []string{"10.1/16"}},
		"service_cidr":         {[]string{"10.2.0.0/16"}, []string{"[10.2.0.0/16]"}},
		"load_balancer_ranges": {[]string{"[192.0.2.1-192.0.2.9]", "[192.0.2.0/28, 192.0.2.20 - 192.0.2.30]"}, []string{"[]", "192.0.2.1-192.0.2.9", "[192.0.2.1]", "[7]", "[192.0.2.1-192.0.2.256]"}},
		"mesh_api_address":     {[]string{"192.0.2.1"}, []string{"192.0.2.1/24", "2001:db8::1", "192.0.2", "192.0.2.01"}},
		"cluster_dns":          {[]string{"10.2.0.10"}, []string{"10.2.0.256"}},
		"mtu":                  {[]string{"0", "1280", "9216"}, []string{"1", "1279", "9217", "'1400'"}},
	}
	for _, f := range facts() {
		sample, ok := samples[f.name]
		if !ok {
			t.Errorf("no sample for %s", f.name)
		}
		for i, text := range slices.Concat(sample.good, []string{f.example}, sample.bad) {
			want := i <= len(sample.good)
			line := f.name + ": " + text + "\n"
			valid := s.Validate(instance(t, []byte(line))) == nil
			if inFleet := s.Validate(instance(t, []byte("all:\n  vars:\n    "+line))) == nil; inFleet != valid {
				t.Errorf("%s: valid in main.yml %v, in fleet.yml %v", line, valid, inFleet)
			}
			inv := newInventory(newLoader(fstest.MapFS{inventories + "/x/group_vars/all.yml": {Data: []byte(line)}}), "x")
			v, _ := inv.variables(nil).lookup(f.name)
			decoded := inv.decode(&f, v)
			if valid != want || decoded != want {
				t.Errorf("%s is valid in the schema: %v, in the loader: %v, want %v", strings.TrimSpace(line), valid, decoded, want)
			}
		}
	}
}

// FuzzLoad checks that no inventory makes the loader panic, hang or point
// outside of its files.
func FuzzLoad(f *testing.F) {
	for _, kind := range []string{"accepted", "rejected"} {
		for _, a := range fixtures(f, kind) {
			repo := repository(f, a)
			data := func(name string) []byte {
				if file, ok := repo[name]; ok {
					return file.Data
				}
				return nil
			}
			f.Add(data(shared), data(inventories+"/site-a/hosts.yml"), data(inventories+"/site-a/group_vars/all/main.yml"))
		}
	}
	f.Fuzz(func(t *testing.T, fleetFile, hosts, main []byte) {
		repo := generated(1)
		for name, data := range map[string][]byte{
			shared: fleetFile, inventories + "/site-a/hosts.yml": hosts, inventories + "/site-a/hosts": main,
			inventories + "/site-a/group_vars/all/main.yml": main, inventories + "/site-a/host_vars/a.sops.yml": hosts,
		} {
			repo[name] = &fstest.MapFile{Data: data, Mode: 0o644}
		}
		fleet, findings := Load(repo)
		if len(fleet.Sites) != 2 {
			t.Fatalf("%d sites", len(fleet.Sites))
		}
		for _, found := range findings {
			p := found.Position
			lines := 0
			if file, ok := repo[p.File]; ok {
				lines = bytes.Count(file.Data, []byte("\n")) + 1
			}
			if p.Line > lines || p.Line > 0 && p.Column < 0 || found.Rule == "" || found.Message == "" {
				t.Fatalf("finding %+v in a file of %d lines", found, lines)
			}
		}
		if !slices.EqualFunc(findings, finding.Dedup(findings), func(a, b finding.Finding) bool { return a.Rule == b.Rule && a.Position == b.Position }) {
			t.Fatal("findings are not sorted and merged")
		}
		report(t, repo, findings)
	})
}

// TestHostile checks that costly inventories end soon, with a finding or without.
func TestHostile(t *testing.T) {
	var chain, wide strings.Builder
	for i := 30000; i > 0; i-- {
		fmt.Fprintf(&chain, "g%d: {children: g%d}\n", i, i+1)
	}
	wide.WriteString("servers:\n  hosts:\n    s[1:10000]: {ansible_host: 198.51.100.11}\n")
	for i := range maxGroups {
		fmt.Fprintf(&wide, "g%d: {vars: {x: %d}, hosts: \"s[1:20]\"}\n", i, i)
	}
	for name, test := range map[string]struct{ hosts, rule string }{
		"chain of groups":      {chain.String(), "inventory-invalid"},
		"many hosts in groups": {wide.String(), "inventory-invalid"},
		"many keys":            {strings.Repeat("a: {}\n", 100000), "yaml-duplicate-key"},
		"many levels":          {strings.Repeat("{all: ", 100) + strings.Repeat("}", 100), "yaml-too-large"},
		"too large":            {strings.Repeat("# comment\n", 200000), "file-unreadable"},
	} {
		repo := generated(1)
		repo[inventories+"/site-001/hosts.yml"] = &fstest.MapFile{Data: []byte(test.hosts), Mode: 0o644}
		start := time.Now()
		_, findings := Load(repo)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if !slices.Contains(rules(findings), test.rule) {
			t.Errorf("%s: no finding %s among %d", name, test.rule, len(findings))
		}
		t.Logf("%s: %v, %d findings", name, time.Since(start), len(findings))
	}
}

func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	if err := os.CopyFS(dir, generated(200)); err != nil {
		b.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	for b.Loop() {
		if _, findings := Load(root.FS()); len(findings) > 0 {
			b.Fatal(rules(findings))
		}
	}
}
