package check

import "archipel/internal/finding"

func loadBalancerRangeOverlap() Rule {
	return Rule{
		ID: "load-balancer-range-overlap", Group: Network, Severity: finding.Error,
		Summary: "Two load balancer ranges of a site share addresses.",
		Reason:  "MetalLB refuses pools that overlap: it would give an address twice (https://metallb.io/configuration/).",
		Bad:     factsWith("load_balancer_ranges: [198.51.100.200-198.51.100.239, 198.51.100.230-198.51.100.250]"),
		Good:    factsWith("load_balancer_ranges: [198.51.100.200-198.51.100.239, 198.51.100.240-198.51.100.250]"),
	}
}
