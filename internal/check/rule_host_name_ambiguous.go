package check

import "archipel/internal/finding"

func hostNameAmbiguous() Rule {
	return Rule{
		ID: "host-name-ambiguous", Group: Inventory, Severity: finding.Error,
		Summary: "A host has the name of a group.",
		Reason:  "Ansible keeps hosts and groups in one name space and mixes up their variables; it warns and goes on.",
		Bad:     hostsWith("all:\n  children:\n    servers:\n      hosts:\n        servers:\n          ansible_host: 198.51.100.11\n"),
		Good:    hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
