package check

import "archipel/internal/finding"

func loadBalancerRangeEmpty() Rule {
	return Rule{
		ID: "load-balancer-range-empty", Group: Network, Severity: finding.Error,
		Summary: "The only load balancer address of a site is that of the mesh.",
		Reason:  "No other service gets an address, and MetalLB refuses a pool without addresses.",
		Bad:     factsWith("load_balancer_ranges: [198.51.100.200-198.51.100.200]"),
		Good:    factsWith("load_balancer_ranges: [198.51.100.200-198.51.100.201]"),
	}
}
