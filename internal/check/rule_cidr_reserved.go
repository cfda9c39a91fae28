package check

import (
	"net/netip"

	"archipel/internal/finding"
)

func cidrReserved() Rule {
	return Rule{
		ID: "cidr-reserved", Group: Network, Severity: finding.Error,
		Summary: "A network or an address of a site is one that no network may use.",
		Reason: "Linux keeps 127.0.0.0/8 to the machine and 169.254.0.0/16 to the link, 224.0.0.0/4 is multicast, and 0.0.0.0/8 and " +
			"240.0.0.0/4 are not routed (RFC 6890).",
		Bad:  factsWith("service_cidr: 169.254.0.0/16"),
		Good: factsWith(""),
		Fleet: func(f *Fleet) []finding.Finding {
			var findings []finding.Finding
			for _, site := range f.Sites {
				facts := site.Facts
				for _, n := range []struct {
					fact   string
					prefix netip.Prefix
				}{
					{"node_cidr", facts.NodeCIDR}, {"pod_cidr", facts.PodCIDR}, {"service_cidr", facts.ServiceCIDR}, {"native_routing_cidr", facts.NativeRoutingCIDR},
				} {
					for _, reserved := range []string{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"} {
						if r := netip.MustParsePrefix(reserved); n.prefix.IsValid() && n.prefix.Overlaps(r) {
							one := problem(site.Position(n.fact), "choose a private network", "%s %s overlaps %s, which is reserved", n.fact, n.prefix, r)
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
