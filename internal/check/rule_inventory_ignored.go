package check

import "archipel/internal/finding"

func inventoryIgnored() Rule {
	return Rule{
		ID: "inventory-ignored", Group: Inventory, Severity: finding.Warning,
		Summary: "Ansible reads past an entry of the inventory.",
		Reason:  "A group takes hosts, children and vars; anything else is skipped with a message that nobody reads in a long log.",
		Bad:     hostsWith("all:\n  children:\n    servers:\n      host:\n        site-a-server-9:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
		Good:    hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
