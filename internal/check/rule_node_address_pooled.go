package check

import "archipel/internal/finding"

func nodeAddressPooled() Rule {
	return Rule{
		ID: "node-address-pooled", Group: Network, Severity: finding.Error,
		Summary: "The address of a node is in a load balancer range.",
		Reason:  "MetalLB may give a service that address, and announce it against the node.",
		Bad:     hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n    agents:\n      hosts:\n        site-a-agent-1:\n          ansible_host: 198.51.100.210\n"),
		Good:    hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
