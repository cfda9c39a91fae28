package check

import "archipel/internal/finding"

func nodeAddressOutside() Rule {
	return Rule{
		ID: "node-address-outside", Group: Network, Severity: finding.Error,
		Summary: "The address of a node is not in node_cidr.",
		Reason: "Direct routes between nodes need one layer 2 network (autoDirectNodeRoutes, " +
			"https://docs.cilium.io/en/stable/network/concepts/routing/#native-routing), and the link between sites carries " +
			"node_cidr only.",
		Bad:  hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n    agents:\n      hosts:\n        site-a-agent-1:\n          ansible_host: 192.0.2.21\n"),
		Good: hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
