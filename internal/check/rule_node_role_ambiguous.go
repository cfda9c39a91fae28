package check

import "archipel/internal/finding"

func nodeRoleAmbiguous() Rule {
	return Rule{
		ID: "node-role-ambiguous", Group: Inventory, Severity: finding.Error,
		Summary: "A node is in both groups, servers and agents.",
		Reason:  "k3s runs as a server or as an agent; the last playbook would win. A server runs workloads too.",
		Bad:     hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n    agents:\n      hosts:\n        site-a-server-1:\n"),
		Good:    hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
