package check

import "archipel/internal/finding"

func nodeAddressMissing() Rule {
	return Rule{
		ID: "node-address-missing", Group: Inventory, Severity: finding.Error,
		Summary: "A node has no address.",
		Reason:  "Without one k3s takes the address of the default route, which need not be the one that the other site reaches.",
		Bad:     hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n"),
		Good:    hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
