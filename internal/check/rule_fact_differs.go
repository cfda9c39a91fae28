package check

import "archipel/internal/finding"

func factDiffers() Rule {
	return Rule{
		ID: "fact-differs", Group: Inventory, Severity: finding.Error,
		Summary: "A fact that holds for a whole site has different values on its nodes.",
		Reason: "Facts describe a cluster: two nodes with different pod networks cannot be in one. Ansible would configure each node " +
			"with its own value.",
		Bad:  hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n          mtu: 1400\n    agents:\n      hosts:\n        site-a-agent-1:\n          ansible_host: 198.51.100.21\n"),
		Good: factsWith("mtu: 1400"),
	}
}
