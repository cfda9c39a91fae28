package fleet

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
	"archipel/internal/source"
)

// Where the fleet is described, from the repository's root.
const (
	inventories = source.Marker                     // a directory for each site
	shared      = inventories + "/fleet.yml"        // facts that all sites share
	playbooks   = "kubernetes/ansible/playbooks"    // whose variables beat those of all inventories
	example     = inventories + "/<site>/hosts.yml" // what a first site needs
	mainVars    = "group_vars/all/main.yml"         // facts of one site, from its directory
)

// Load reads all sites of a repository, as Ansible reads them when it is called
// with -i fleet.yml -i <site>. It returns what it understood even when there are
// findings; these are sorted and merged across sites.
func Load(repo fs.FS) (*Fleet, []finding.Finding) {
	l := newLoader(repo)
	fleet := &Fleet{}
	var sites []*inventory
	for _, name := range l.sites() {
		inv := newInventory(l, name)
		inv.load()
		sites = append(sites, inv)
		fleet.Sites = append(fleet.Sites, inv.site)
	}
	l.playbookVars()
	l.invariants(sites)
	return fleet, finding.Dedup(l.findings)
}

// loader reads files once for all sites.
type loader struct {
	repo     fs.FS
	types    *resolver
	facts    []fact
	parsed   map[string]parsed
	listed   map[string][]fs.DirEntry
	findings []finding.Finding
}

func newLoader(repo fs.FS) *loader {
	return &loader{
		repo: repo, types: newResolver(), facts: facts(),
		parsed: map[string]parsed{}, listed: map[string][]fs.DirEntry{},
	}
}

// parsed is a file that was read.
type parsed struct {
	file     *source.YAML
	root     *yaml.Node // nil when the file is empty, or is of no use
	broken   bool       // what the file says is not known
	findings []finding.Finding
}

// whole is the position of a file or directory as a whole.
func whole(file string) finding.Position { return finding.Position{File: file} }

// sites returns the names of the directories in inventories.
func (l *loader) sites() []string {
	entries, err := fs.ReadDir(l.repo, inventories)
	if err != nil {
		l.findings = append(l.findings, finding.Finding{
			Rule: "sites-missing", Severity: finding.Error, Position: whole(inventories),
			Message: "the directory of the sites cannot be read", Fix: "create " + example,
		})
		return nil
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || name == "group_vars" || name == "host_vars" {
			continue
		}
		if info, err := fs.Stat(l.repo, path.Join(inventories, name)); err == nil && info.IsDir() {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		l.findings = append(l.findings, finding.Finding{
			Rule: "sites-missing", Severity: finding.Error, Position: whole(inventories),
			Message: "the fleet has no site", Fix: "create " + example,
		})
	}
	slices.Sort(names)
	return names
}

// load reads the inventory of one site.
func (inv *inventory) load() {
	inv.checkName()
	if inv.has(inventories, path.Base(shared)) {
		inv.addFile(shared)
	}
	inv.addDir(inv.dir, 0)
	inv.finish()
	inv.unused()
	inv.nodes()
	inv.decodeFacts()
}

// checkName applies the rules for the name of a Cilium cluster, which a site's
// name becomes: at most 32 characters, a DNS label, and not the reserved name
// "default".
func (inv *inventory) checkName() {
	name := inv.site.Name
	// Flux writes the name into YAML, where some words and all numbers are no text.
	reserved := []string{"default", "y", "n", "yes", "no", "on", "off", "true", "false", "null"}
	valid := len(name) <= 32 && !slices.Contains(reserved, name) && strings.Trim(name, "-") == name &&
		name[0] >= 'a' && name[0] <= 'z'
	for _, r := range name {
		valid = valid && (r == '-' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9')
	}
	if !valid {
		inv.fail("site-name-invalid", whole(inv.dir), fmt.Sprintf("%q cannot be the name of a site", name),
			"rename the directory: at most 32 of a-z, 0-9 and -, beginning with a letter, no - at the end, and no word that YAML or Cilium reserves")
	}
}

// addDir merges the inventory files of a directory in alphabetical order.
func (inv *inventory) addDir(dir string, depth int) {
	const deepest = 16 // a link may lead back up
	if depth > deepest {
		return
	}
	for _, e := range inv.list(dir) {
		name := e.Name()
		if ignoredFile(name) {
			continue
		}
		file := path.Join(dir, name)
		info, err := fs.Stat(inv.repo, file)
		switch ext := path.Ext(name); {
		case err != nil:
			inv.report(source.Unreadable(file, err))
		case info.IsDir():
			inv.addDir(file, depth+1)
		case !slices.Contains(extensions(), ext):
			inv.unsupported(whole(file), fmt.Sprintf("archipel reads YAML inventories only, and this file ends in %q", ext))
		case ext == "" && info.Mode().Perm()&0o111 != 0:
			inv.unsupported(whole(file), "Ansible would run this file to get the inventory")
		default:
			inv.addFile(file)
		}
	}
}

// ignoredFile reports whether Ansible passes over an entry of an inventory
// directory (IGNORED in ansible/inventory/manager.py, with default settings).
func ignoredFile(name string) bool {
	switch name {
	case "host_vars", "group_vars", "vars_plugins":
		return true
	}
	for _, ext := range []string{".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"} {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return strings.HasPrefix(name, ".")
}

// addFile merges one inventory file.
func (inv *inventory) addFile(file string) {
	if data, err := source.Read(inv.repo, file); err == nil {
		switch text := string(data); {
		case strings.HasPrefix(text, "#!"):
			inv.unsupported(whole(file), "Ansible would run this file to get the inventory")
			return
		case strings.HasPrefix(text, vaultHeader):
			inv.unsupported(whole(file), "this file is encrypted with Ansible Vault")
			return
		case path.Ext(file) == "" && strings.HasPrefix(strings.TrimLeft(stripComments(text), " \t\r\n"), "["):
			inv.unsupported(whole(file), "this is an INI inventory")
			return
		}
	}
	if y, root := inv.read(file); root != nil {
		inv.add(y, root)
	}
}

// stripComments returns text from its first line that is no comment.
func stripComments(text string) string {
	for strings.HasPrefix(text, "#") || strings.HasPrefix(text, ";") || strings.HasPrefix(text, "\n") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// vaultHeader begins every file of Ansible Vault.
const vaultHeader = "$ANSIBLE_VAULT;"

// sealed reports whether a variable file is one of SOPS: its names are known
// and its values are not.
func sealed(file string) bool { return strings.Contains(path.Base(file), ".sops.") }

// read returns the document of a file, parsed once, and nil when it is empty or
// of no use. Each site that reads the file gets its findings.
func (inv *inventory) read(file string) (*source.YAML, *yaml.Node) {
	p, ok := inv.parsed[file]
	if !ok {
		p = inv.parse(file)
		inv.parsed[file] = p
	}
	for _, f := range p.findings {
		inv.report(f)
	}
	inv.incomplete = inv.incomplete || p.broken
	return p.file, p.root
}

// parse reads a file of one YAML document.
func (l *loader) parse(file string) parsed {
	data, err := source.Read(l.repo, file)
	if err != nil {
		return parsed{broken: true, findings: []finding.Finding{source.Unreadable(file, err)}}
	}
	if strings.HasPrefix(string(data), vaultHeader) {
		return parsed{broken: true}
	}
	y, findings := source.ParseYAML(file, data)
	if sealed(file) && (y == nil || len(y.Documents) != 1) {
		return parsed{broken: true}
	}
	if y == nil {
		return parsed{broken: true, findings: findings}
	}
	p := parsed{file: y, findings: findings}
	if len(y.Documents) > 1 {
		p.broken = true
		p.findings = append(p.findings, finding.Finding{
			Rule: "inventory-invalid", Severity: finding.Error, Position: y.Position(y.Documents[1]),
			Message: "a second document begins here, but Ansible reads one document per file", Fix: "move it to a file of its own",
		})
		return p
	}
	if len(y.Documents) == 1 {
		p.root = y.Documents[0]
		if bad, message, fix := unreadableByAnsible(p.root); bad != nil {
			p.root, p.broken = nil, true
			p.findings = append(p.findings, finding.Finding{
				Rule: "yaml-unsupported", Severity: finding.Error, Position: y.Position(bad), Message: message, Fix: fix,
			})
		}
	}
	return p
}

// unreadableByAnsible returns the first node for which Ansible refuses a file
// that is valid YAML.
func unreadableByAnsible(n *yaml.Node) (bad *yaml.Node, message, fix string) {
	if n.Style&yaml.TaggedStyle != 0 && n.Kind != yaml.AliasNode {
		switch tag := n.ShortTag(); tag {
		case "!", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!binary", "!!seq", "!!map", "!!set", "!!omap", "!!pairs",
			"!unsafe", "!vault", "!vault-encrypted":
		default:
			return n, fmt.Sprintf("Ansible does not know the tag %s and refuses the whole file", tag), "remove the tag"
		}
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if c.Tag == "!!merge" && !mergeable(n.Content[i+1]) {
				return n.Content[i+1], "a merge key takes a mapping or a list of mappings; Ansible refuses the whole file", "name an anchor of a mapping"
			}
			if k := target(c).Kind; k == yaml.MappingNode || k == yaml.SequenceNode {
				return c, "a key must not be a list or a mapping; Ansible refuses the whole file", "write a plain key, and quote Jinja expressions"
			}
		}
		if bad, message, fix = unreadableByAnsible(c); bad != nil {
			return bad, message, fix
		}
	}
	return nil, "", ""
}

// mergeable reports whether a node can be the value of a merge key.
func mergeable(n *yaml.Node) bool {
	n = target(n)
	if n.Kind != yaml.SequenceNode {
		return n.Kind == yaml.MappingNode
	}
	for _, c := range n.Content {
		if target(c).Kind != yaml.MappingNode {
			return false
		}
	}
	return true
}

// list returns the entries of a directory, sorted by name; none when there is
// no such directory.
func (l *loader) list(dir string) []fs.DirEntry {
	entries, ok := l.listed[dir]
	if !ok {
		// What is no directory holds no entry, for Ansible too.
		entries, _ = fs.ReadDir(l.repo, dir)
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
		l.listed[dir] = entries
	}
	return entries
}

// has reports whether a directory has an entry.
func (l *loader) has(dir, name string) bool {
	_, ok := slices.BinarySearchFunc(l.list(dir), name, func(e fs.DirEntry, name string) int { return cmp.Compare(e.Name(), name) })
	return ok
}

// report adds a finding of this site.
func (inv *inventory) report(f finding.Finding) {
	f.Sites = []string{inv.site.Name}
	inv.findings = append(inv.findings, f)
}

// fail reports an error.
func (inv *inventory) fail(rule string, at finding.Position, message, fix string) {
	inv.report(finding.Finding{Rule: rule, Severity: finding.Error, Position: at, Message: message, Fix: fix})
}

// warn reports a warning.
func (inv *inventory) warn(rule string, at finding.Position, message, fix string) {
	inv.report(finding.Finding{Rule: rule, Severity: finding.Warning, Position: at, Message: message, Fix: fix})
}

// reject reports what makes Ansible refuse a file.
func (inv *inventory) reject(y *source.YAML, n *yaml.Node, message, fix string) {
	inv.incomplete = true
	inv.fail("inventory-invalid", y.Position(n), message, fix)
}

// ignored reports what Ansible reads past.
func (inv *inventory) ignored(y *source.YAML, n *yaml.Node, message, fix string) {
	inv.warn("inventory-ignored", y.Position(n), message, fix)
}

// unsupported reports an inventory whose content only Ansible can find out.
func (inv *inventory) unsupported(at finding.Position, why string) {
	inv.incomplete = true
	inv.fail("inventory-unsupported", at, "the inventory cannot be read without running Ansible: "+why,
		"write the hosts into hosts.yml as YAML groups, and name files that are no inventory .md, .txt or with a leading dot")
}
