package check

import "archipel/internal/finding"

func loadBalancerRangeOutside() Rule {
	return Rule{
		ID: "load-balancer-range-outside", Group: Network, Severity: finding.Error,
		Summary: "A load balancer range is not in the network of the site's nodes.",
		Reason: "MetalLB answers ARP for the address on the network of the nodes: from there alone it can be reached in layer 2 mode " +
			"(https://metallb.io/concepts/layer2/).",
		Bad:  factsWith("load_balancer_ranges: [198.51.100.200-198.51.100.239, 192.0.2.10-192.0.2.20]"),
		Good: factsWith("load_balancer_ranges: [198.51.100.200-198.51.100.239, 198.51.100.241-198.51.100.250]"),
	}
}
