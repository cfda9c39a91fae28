package check

import "archipel/internal/finding"

func groupCycle() Rule {
	return Rule{
		ID: "group-cycle", Group: Inventory, Severity: finding.Error,
		Summary: "An inventory group contains itself.",
		Reason:  "Ansible refuses the inventory: variables of groups apply from the outermost to the innermost, and a cycle has neither.",
		Bad:     hostsWith("all:\n  children:\n    servers:\n      children:\n        first:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n    first:\n      children:\n        servers:\n"),
		Good:    hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
