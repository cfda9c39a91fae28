package check

import "archipel/internal/finding"

func inventoryInvalid() Rule {
	return Rule{
		ID: "inventory-invalid", Group: Inventory, Severity: finding.Error,
		Summary: "Ansible refuses an inventory file.",
		Reason: "Ansible skips a file that it cannot take and goes on with the hosts of the others, so that nodes are missing without an " +
			"error.",
		Bad:  hostsWith("all:\n  children:\n    servers:\n      hosts:\n        - site-a-server-1\n"),
		Good: hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
