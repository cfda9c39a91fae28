package check

import (
	"strings"

	"archipel/internal/finding"
)

func ansibleRoleUnknown() Rule {
	return Rule{
		ID: "ansible-role-unknown", Group: Ansible, Severity: finding.Error,
		Summary: "A playbook or role uses a role that the tree does not have.",
		Reason: "Ansible stops when it reads the playbook, or half-way when the role is included. Roles of collections have dots in their names and are not looked at " +
			"(https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_reuse_roles.html).",
		Bad:  ansibleExample("roles:\n  - role: gret\n"),
		Good: ansibleExample("roles:\n  - role: greet\n    vars:\n      greet_name: you\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			a := f.ansible()
			for _, u := range a.uses() {
				if name := u.name.Value; a.roles[name] == nil && !strings.ContainsAny(name, "./") && !templated(name) {
					found = append(found, problem(u.file.Position(u.name), "name one of "+strings.Join(a.names(), ", "), "there is no role %s in %s/roles", name, ansibleTree))
				}
			}
			return found
		},
	}
}
