package check

import (
	"net/netip"
	"slices"

	"archipel/internal/finding"
)

func serviceAddressUnpooled() Rule {
	return Rule{
		ID: "service-address-unpooled", Group: Kubernetes, Severity: finding.Error,
		Summary: "A Service asks MetalLB for an address that no pool of the site holds.",
		Reason:  "MetalLB gives it none at all, and the Service stays pending (https://metallb.io/usage/#requesting-specific-ips).",
		Bad:     inWhoami(balancerExample("example", "metallb.io/loadBalancerIPs: 192.0.2.1\n")),
		Good:    inWhoami(balancerExample("example", "metallb.io/loadBalancerIPs: ${mesh_api_address}\n")),
		Site: func(s *Site) []finding.Finding {
			if !s.poolsKnown() {
				return nil
			}
			pools := s.pools()
			var found []finding.Finding
			for _, w := range s.wantedAddresses() {
				ip, err := netip.ParseAddr(w.address)
				if err != nil || !slices.ContainsFunc(pools, func(p span) bool { return p.contains(ip) }) {
					found = append(found, problem(s.At(w.service, w.field...), "ask for an address of a pool, or leave the choice to MetalLB",
						"%s asks for %s, which no pool of this site holds", named(w.service), w.address))
				}
			}
			return found
		},
	}
}
