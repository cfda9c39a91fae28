package check

import "archipel/internal/finding"

func hostRangeInvalid() Rule {
	return Rule{
		ID: "host-range-invalid", Group: Inventory, Severity: finding.Error,
		Summary: "A host range such as node[1:3] cannot be expanded.",
		Reason: "Ansible stops at it, or takes it for no host at all " +
			"(https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html#adding-ranges-of-hosts).",
		Bad:  hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-[3:1]:\n          ansible_host: 198.51.100.11\n"),
		Good: hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-[1:1]:\n          ansible_host: 198.51.100.11\n"),
	}
}
