package check

import "archipel/internal/finding"

func varsUnused() Rule {
	return Rule{
		ID: "vars-unused", Group: Inventory, Severity: finding.Warning,
		Summary: "Ansible reads no group or host of the name of a variable file, or another file hides it.",
		Reason:  "The variables silently do not apply; most often the name of the file is mistyped.",
		Bad:     overlay("kubernetes/ansible/inventories/site-a/group_vars/sevrers.yml", "mtu: 1400\n"),
		Good:    overlay("kubernetes/ansible/inventories/site-a/group_vars/servers.yml", "ntp_server: ntp.example.org\n"),
	}
}
