package check

import "archipel/internal/finding"

func hostUngrouped() Rule {
	return Rule{
		ID: "host-ungrouped", Group: Inventory, Severity: finding.Warning,
		Summary: "A host is in no group, so that it is no node.",
		Reason: "k3s is installed on the hosts of the groups servers and agents. A host outside of every group is usually one whose " +
			"group was forgotten.",
		Bad:  hostsWith("all:\n  hosts:\n    site-a-agent-9:\n      ansible_host: 198.51.100.29\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
		Good: hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
