package fleet

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
	"archipel/internal/source"
)

// value is a variable as an inventory states it.
type value struct {
	key, node *yaml.Node
	file      *source.YAML
	sealed    bool // node is what SOPS made of the value
}

// position returns where the value stands.
func (v value) position() finding.Position { return v.file.Position(v.node) }

// variables answers what value a variable has for a host. The layers stand in
// Ansible's order of precedence, the last one winning; a value replaces another
// as a whole.
type variables []map[string]value

// lookup returns the value that wins.
func (v variables) lookup(name string) (value, bool) {
	for _, layer := range slices.Backward(v) {
		if found, ok := layer[name]; ok {
			return found, true
		}
	}
	return value{}, false
}

// variables returns the layers of a host; of the group all alone when h is nil.
//
// Ansible's order (VARIABLE_PRECEDENCE): variables in inventory files for all,
// then for the other groups; group_vars/all of each inventory, then group_vars
// of the other groups; then the host's own in inventory files and in host_vars.
// Files come from the directory of fleet.yml first, then from the site's.
func (inv *inventory) variables(h *host) variables {
	dirs := []string{inventories, inv.dir}
	var groups []*group
	if h != nil {
		groups = h.lineage()
	}
	layers := variables{inv.groups["all"].vars}
	for _, g := range groups {
		layers = append(layers, g.vars)
	}
	for _, dir := range dirs {
		layers = append(layers, inv.files(dir, "group_vars", "all"))
	}
	for _, dir := range dirs {
		for _, g := range groups {
			layers = append(layers, inv.files(dir, "group_vars", g.name))
		}
	}
	if h != nil {
		layers = append(layers, h.vars)
		for _, dir := range dirs {
			layers = append(layers, inv.files(dir, "host_vars", h.name))
		}
	}
	return layers
}

// extensions returns those of variable files, in the order in which Ansible
// looks for them. The first file or directory that exists hides the others.
func extensions() []string { return []string{"", ".yml", ".yaml", ".json"} }

// files merges the variable files of one group or host in one directory.
func (inv *inventory) files(dir, section, name string) map[string]value {
	base := path.Join(dir, section)
	key := base + "/" + name
	merged, ok := inv.merged[key]
	if !ok {
		for _, file := range inv.find(base, name) {
			y, root := inv.read(file)
			if root == nil {
				continue
			}
			if k := inv.types.kindOf(root); k != isMapping {
				if k != isNull {
					inv.reject(y, root, "a variable file is a mapping of names to values, but this is "+string(k), "write each variable as name: value")
				}
				continue
			}
			if merged == nil {
				merged = map[string]value{}
			}
			for _, p := range pairs(root) {
				merged[p.key.Value] = value{p.key, p.node, y, sealed(file)}
			}
		}
		inv.merged[key] = merged
	}
	return merged
}

// find returns the variable files of a group or host.
func (l *loader) find(base, name string) []string {
	for _, ext := range extensions() {
		if !l.has(base, name+ext) {
			continue
		}
		file := path.Join(base, name+ext)
		if info, err := fs.Stat(l.repo, file); err == nil && info.IsDir() {
			return l.tree(file, 0)
		}
		return []string{file}
	}
	return nil
}

// tree returns the variable files of a directory in alphabetical order.
func (l *loader) tree(dir string, depth int) []string {
	const deepest = 16 // a link may lead back up
	if depth > deepest {
		return nil
	}
	var files []string
	for _, e := range l.list(dir) {
		name, ext := e.Name(), path.Ext(e.Name())
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || !slices.Contains(extensions(), ext) {
			continue
		}
		file := path.Join(dir, name)
		if info, err := fs.Stat(l.repo, file); err == nil && info.IsDir() {
			if ext == "" {
				files = append(files, l.tree(file, depth+1)...)
			}
			continue
		}
		files = append(files, file)
	}
	return files
}

// unused warns of variable files in the site's directory that Ansible does not
// read: those of no group or host, and those that another one hides.
func (inv *inventory) unused() {
	inv.unusedIn("group_vars", "group", func(name string) bool { _, ok := inv.groups[name]; return ok })
	inv.unusedIn("host_vars", "host", func(name string) bool { _, ok := inv.hosts[name]; return ok })
}

func (inv *inventory) unusedIn(section, what string, known func(string) bool) {
	base := path.Join(inv.dir, section)
	for _, e := range inv.list(base) {
		entry := e.Name()
		if strings.HasPrefix(entry, ".") || strings.HasSuffix(entry, "~") {
			continue
		}
		name := entry
		if ext := path.Ext(entry); ext != "" && slices.Contains(extensions(), ext) && !known(entry) {
			// The plugin that decrypts SOPS files reads name.sops.yml, where Ansible
			// itself would read name.yml.
			name = strings.TrimSuffix(strings.TrimSuffix(entry, ext), ".sops")
		}
		if !known(name) {
			// A broken inventory file may be where the group is.
			if !inv.incomplete {
				inv.warn("vars-unused", whole(path.Join(base, entry)), fmt.Sprintf("the site has no %s %q: Ansible does not read these variables", what, name),
					fmt.Sprintf("rename it after a %s of the site, or remove it", what))
			}
			continue
		}
		for _, ext := range extensions() {
			if inv.has(base, name+ext) && !sealed(entry) {
				if name+ext != entry {
					inv.warn("vars-unused", whole(path.Join(base, entry)), fmt.Sprintf("%s hides this file: Ansible reads the first of the two only", name+ext),
						"move the variables into one place")
				}
				break
			}
		}
	}
}

// playbookVars reports facts beside the playbooks, which beat those of every
// inventory without anyone seeing it there.
func (l *loader) playbookVars() {
	names := map[string]bool{}
	for _, name := range nodeVariables() {
		names[name] = true
	}
	for _, f := range l.facts {
		names[f.name] = true
	}
	for _, section := range []string{"group_vars", "host_vars"} {
		for _, file := range l.tree(path.Join(playbooks, section), 0) {
			p := l.parse(file)
			l.findings = append(l.findings, p.findings...)
			if p.root == nil || p.root.Kind != yaml.MappingNode {
				continue
			}
			for _, v := range pairs(p.root) {
				if names[v.key.Value] {
					l.findings = append(l.findings, finding.Finding{
						Rule: "fact-overridden", Severity: finding.Error, Position: p.file.Position(v.key),
						Message: fmt.Sprintf("%s is set beside the playbooks, which silently beats every inventory", v.key.Value),
						Fix:     "move it to " + shared + " or to a site's " + mainVars,
					})
				}
			}
		}
	}
}
