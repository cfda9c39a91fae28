package check

import "archipel/internal/finding"

func nodeAddressDuplicate() Rule {
	return Rule{
		ID: "node-address-duplicate", Group: Network, Severity: finding.Error,
		Summary: "Two nodes have the same address.",
		Reason:  "Only one of them answers, and which one changes.",
		Bad:     hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n    agents:\n      hosts:\n        site-a-agent-1:\n          ansible_host: 198.51.100.11\n"),
		Good:    hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
