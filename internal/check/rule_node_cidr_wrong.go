package check

import "archipel/internal/finding"

func nodeCIDRWrong() Rule {
	return Rule{
		ID: "node-cidr-wrong", Group: Network, Severity: finding.Error,
		Summary: "node_cidr holds no address of the site.",
		Reason:  "The nodes and the load balancer ranges agree with each other, so node_cidr itself is what is wrong.",
		Bad:     factsWith("node_cidr: 192.0.2.0/24"),
		Good:    factsWith("node_cidr: 198.51.100.0/24"),
	}
}
