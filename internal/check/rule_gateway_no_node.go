package check

import "archipel/internal/finding"

func gatewayNoNode() Rule {
	return Rule{
		ID: "gateway-no-node", Group: Inventory, Severity: finding.Error,
		Summary: "A gateway of a site is none of its nodes.",
		Reason:  "The group gateways names the nodes that build the link between the sites, and they are configured as nodes.",
		Bad:     hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n    gateways:\n      hosts:\n        site-a-gateway-1:\n          ansible_host: 198.51.100.31\n"),
		Good:    hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n    gateways:\n      hosts:\n        site-a-server-1:\n"),
	}
}
