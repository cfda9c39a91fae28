package check

import "archipel/internal/finding"

func nodeNameDuplicate() Rule {
	return Rule{
		ID: "node-name-duplicate", Group: Network, Severity: finding.Error,
		Summary: "Two nodes of the fleet have the same name.",
		Reason:  "In one cluster the second cannot register; between clusters logs, metrics and the link between sites mix them up.",
		Bad:     hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-b-server-1:\n          ansible_host: 198.51.100.11\n"),
		Good:    hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
