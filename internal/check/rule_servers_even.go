package check

import "archipel/internal/finding"

func serversEven() Rule {
	return Rule{
		ID: "servers-even", Group: Inventory, Severity: finding.Warning,
		Summary: "A site has an even number of servers.",
		Reason: "etcd needs a majority: four members survive the loss of one, as three do, and there is one more that can fail " +
			"(https://etcd.io/docs/latest/faq/#why-an-odd-number-of-cluster-members).",
		Bad:  hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n        site-a-server-2:\n          ansible_host: 198.51.100.12\n"),
		Good: hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n        site-a-server-2:\n          ansible_host: 198.51.100.12\n        site-a-server-3:\n          ansible_host: 198.51.100.13\n"),
	}
}
