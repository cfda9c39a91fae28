package check

import "archipel/internal/finding"

func meshAPIAddressDuplicate() Rule {
	return Rule{
		ID: "mesh-api-address-duplicate", Group: Network, Severity: finding.Error,
		Summary: "Two sites have the same address for their mesh API server.",
		Reason:  "Each site would reach itself where it looks for the other.",
		Bad:     factsWith("node_cidr: 198.51.100.0/24\nmesh_api_address: 203.0.113.200\nload_balancer_ranges: [198.51.100.200-198.51.100.239, 203.0.113.200-203.0.113.200]"),
		Good:    factsWith(""),
	}
}
