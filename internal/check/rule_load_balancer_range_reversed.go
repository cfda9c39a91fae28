package check

import "archipel/internal/finding"

func loadBalancerRangeReversed() Rule {
	return Rule{
		ID: "load-balancer-range-reversed", Group: Network, Severity: finding.Error,
		Summary: "A load balancer range ends before it begins.",
		Reason:  "MetalLB refuses it, and with it all pools of the site.",
		Bad:     factsWith("load_balancer_ranges: [198.51.100.239-198.51.100.200]"),
		Good:    factsWith("load_balancer_ranges: [198.51.100.200-198.51.100.239]"),
	}
}
