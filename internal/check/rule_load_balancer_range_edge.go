package check

import (
	"net/netip"

	"archipel/internal/finding"
)

func loadBalancerRangeEdge() Rule {
	return Rule{
		ID: "load-balancer-range-edge", Group: Network, Severity: finding.Warning,
		Summary: "A load balancer range holds the first or the last address of the network of the nodes.",
		Reason: "The first address names the network and the last is its broadcast address: hosts do not answer or accept them as the " +
			"address of a service. MetalLB has avoidBuggyIPs for the same reason " +
			"(https://metallb.io/configuration/_advanced_ipaddresspool_configuration/).",
		Bad:  factsWith("load_balancer_ranges: [198.51.100.200-198.51.100.255]"),
		Good: factsWith("load_balancer_ranges: [198.51.100.200-198.51.100.254]"),
		Fleet: func(f *Fleet) []finding.Finding {
			var findings []finding.Finding
			for _, site := range f.Sites {
				network := site.Facts.NodeCIDR
				if !network.IsValid() || network.Bits() > 30 { // smaller networks have no such addresses (RFC 3021)
					continue
				}
				for _, r := range site.Facts.LoadBalancerRanges {
					for _, edge := range []netip.Addr{network.Masked().Addr(), lastOf(network)} {
						if r.Contains(edge) {
							one := problem(site.Position("load_balancer_ranges"), "leave it out of the range", "the range %s holds %s, an end of node_cidr %s", r, edge, network)
							one.Sites = []string{site.Name}
							findings = append(findings, one)
						}
					}
				}
			}
			return findings
		},
	}
}
