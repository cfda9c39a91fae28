package check

import "archipel/internal/finding"

func serversMissing() Rule {
	return Rule{
		ID: "servers-missing", Group: Inventory, Severity: finding.Error,
		Summary: "A site has no server.",
		Reason:  "The group servers runs the control plane; without one there is no cluster.",
		Bad:     hostsWith("all:\n  children:\n    agents:\n      hosts:\n        site-a-agent-1:\n          ansible_host: 198.51.100.21\n"),
		Good:    hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
