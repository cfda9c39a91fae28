package check

import (
	"path"
	"slices"
	"strings"

	"archipel/internal/finding"

	"go.yaml.in/yaml/v3"
)

func ansibleArgumentMissing() Rule {
	return Rule{
		ID: "ansible-argument-missing", Group: Ansible, Severity: finding.Error,
		Summary: "A role is used without an argument that its specification requires, and nothing else in the tree sets it.",
		Reason: "Ansible checks the arguments when the role begins, on the first host and after everything before it has run " +
			"(https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_reuse_roles.html#role-argument-validation).",
		Bad:  ansibleExample("roles:\n  - role: greet\n"),
		Good: ansibleExample("roles:\n  - role: greet\n    vars:\n      greet_name: you\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			a := f.ansible()
			for _, u := range a.uses() {
				pairs(a.roles[u.name.Value].options(u.task), func(name, option *yaml.Node) {
					if _, required := lookup(option, "required"); required == nil || required.Value != "true" && required.Value != "yes" {
						return
					}
					if has(option, "default") || slices.ContainsFunc(u.vars, func(vars *yaml.Node) bool { return has(vars, name.Value) }) || f.setsVariable(name.Value) {
						return
					}
					found = append(found, problem(u.file.Position(u.name), "set "+name.Value+" in vars", "role %s needs %s, which nothing sets", u.name.Value, name.Value))
				})
			}
			return found
		},
	}
}

// setsVariable says whether anything in Ansible's tree but an argument specification or the
// vars of a role has a key of that name: a variable of the inventory, of a play, a default.
func (f *Fleet) setsVariable(name string) bool {
	type key struct{}
	names := once(f, key{}, func() map[string]bool {
		all := map[string]bool{}
		var walk func(n *yaml.Node)
		walk = func(n *yaml.Node) {
			if n.Kind == yaml.MappingNode {
				for i := 0; i+1 < len(n.Content); i += 2 {
					all[n.Content[i].Value] = true
					if n.Content[i].Value == "register" {
						all[n.Content[i+1].Value] = true
					}
				}
			}
			for _, c := range n.Content {
				walk(c)
			}
		}
		for _, file := range f.Files {
			if ext := path.Ext(file); !strings.HasPrefix(file, ansibleTree+"/") || ext != ".yml" && ext != ".yaml" || strings.Contains(file, "/meta/") {
				continue
			}
			if y := f.Parsed(file); y != nil && !f.template(file) {
				for _, document := range y.Documents {
					walk(document)
				}
			}
		}
		return all
	})
	return names[name]
}
