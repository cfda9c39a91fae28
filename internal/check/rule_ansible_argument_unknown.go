package check

import (
	"archipel/internal/finding"

	"go.yaml.in/yaml/v3"
)

func ansibleArgumentUnknown() Rule {
	return Rule{
		ID: "ansible-argument-unknown", Group: Ansible, Severity: finding.Warning,
		Summary: "A role is given an argument that its specification does not have.",
		Reason: "Ansible takes it for a variable like any other, so a mistyped argument is passed over in silence and the default is used " +
			"(https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_reuse_roles.html#role-argument-validation).",
		Bad:  ansibleExample("roles:\n  - role: greet\n    vars:\n      greet_name: you\n      greet_tiems: 2\n"),
		Good: ansibleExample("roles:\n  - role: greet\n    vars:\n      greet_name: you\n      greet_times: 2\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			a := f.ansible()
			for _, u := range a.uses() {
				options := a.roles[u.name.Value].options(u.task)
				if options == nil {
					continue
				}
				for _, vars := range u.vars {
					pairs(vars, func(name, _ *yaml.Node) {
						if !has(options, name.Value) {
							found = append(found, problem(u.file.Position(name), "correct the name, or add it to the role's argument_specs", "role %s has no argument %s", u.name.Value, name.Value))
						}
					})
				}
			}
			return found
		},
	}
}
