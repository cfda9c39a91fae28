package check

import "archipel/internal/finding"

func nodeAddressInvalid() Rule {
	return Rule{
		ID: "node-address-invalid", Group: Inventory, Severity: finding.Error,
		Summary: "The address of a node is no IPv4 address.",
		Reason:  "node_ip becomes the node's InternalIP, which the other nodes and sites must reach. The networking of the stack is IPv4.",
		Bad:     hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n          node_ip: server-1.example.org\n"),
		Good:    hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
