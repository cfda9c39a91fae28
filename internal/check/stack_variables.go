package check

import (
	"path"
	"strings"

	"archipel/internal/source"

	"go.yaml.in/yaml/v3"
)

// variable is an Ansible variable where it is given a value.
type variable struct {
	name  string
	file  *source.YAML
	key   *yaml.Node
	value *yaml.Node
}

// variable returns the value that an Ansible variable has at a site for all its nodes, nil when
// nothing gives it one: the site's own before the fleet's, and a role's default last.
func (s *Site) variable(name string) *variable {
	var last *variable
	s.variables(func(v variable) {
		if v.name != name {
			return
		}
		if site := siteOf(v.file.Path); site != "" && site != s.Site.Name {
			return
		}
		if last == nil || precedence(v.file.Path) >= precedence(last.file.Path) {
			last = &v
		}
	})
	return last
}

// precedence orders the files that give variables values as Ansible does.
func precedence(file string) int {
	switch {
	case strings.HasPrefix(file, ansibleTree+"/roles/"):
		return 0
	case siteOf(file) == "":
		return 1
	}
	return 2
}

// variables calls with for each variable that is given a value: in inventories, in their group
// and host variables, in the defaults and variables of roles and in plays.
func (f *Fleet) variables(with func(variable)) {
	type key struct{}
	for _, v := range once(f, key{}, f.allVariables) {
		with(v)
	}
}

func (f *Fleet) allVariables() []variable {
	var all []variable
	each := func(y *source.YAML, n *yaml.Node) {
		pairs(n, func(key, value *yaml.Node) { all = append(all, variable{key.Value, y, key, value}) })
	}
	for _, name := range f.Files {
		rest, below := strings.CutPrefix(name, ansibleTree+"/")
		if ext := path.Ext(name); !below || ext != ".yml" && ext != ".yaml" || sealed(name) || f.template(name) {
			continue
		}
		parts := strings.Split(rest, "/")
		plain := parts[0] == "roles" && len(parts) > 3 && (parts[2] == "defaults" || parts[2] == "vars") ||
			strings.Contains(rest, "group_vars/") || strings.Contains(rest, "host_vars/")
		if !plain && parts[0] != "inventories" {
			continue
		}
		y := f.Parsed(name)
		if y == nil {
			continue
		}
		for _, document := range y.Documents {
			if plain {
				each(y, document)
				continue
			}
			eachGroup(document, func(vars *yaml.Node) { each(y, vars) })
		}
	}
	for _, y := range f.ansible().playbooks {
		for _, document := range y.Documents {
			if document.Kind != yaml.SequenceNode {
				continue
			}
			for _, play := range document.Content {
				if _, vars := lookup(play, "vars"); vars != nil {
					each(y, vars)
				}
			}
		}
	}
	return all
}

// eachGroup calls with for the variables of each group and of each host of an inventory.
func eachGroup(n *yaml.Node, with func(vars *yaml.Node)) {
	pairs(n, func(_, group *yaml.Node) {
		if _, vars := lookup(group, "vars"); vars != nil {
			with(vars)
		}
		if _, hosts := lookup(group, "hosts"); hosts != nil {
			pairs(hosts, func(_, host *yaml.Node) { with(host) })
		}
		if _, children := lookup(group, "children"); children != nil {
			eachGroup(children, with)
		}
	})
}
