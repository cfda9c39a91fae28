package check

import (
	"slices"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func metallbPoolSilent() Rule {
	return Rule{
		ID: "metallb-pool-silent", Group: Kubernetes, Severity: finding.Error,
		Summary: "No advertisement announces a pool of MetalLB.",
		Reason: "Services get addresses of the pool, and nobody answers for them: kubectl shows an address that is dead from outside " +
			"(https://metallb.io/configuration/#announce-the-service-ips).",
		Bad:  advertisementExample("L2Advertisement", "ipAddressPools: [public]\ninterfaces:\n  - ${node_interface}\n"),
		Good: advertisementExample("L2Advertisement", "interfaces:\n  - ${node_interface}\n"),
		Site: func(s *Site) []finding.Finding {
			if !s.poolsKnown() {
				return nil
			}
			var found []finding.Finding
			advertisements := s.kinds(metallbAPI, "L2Advertisement", "BGPAdvertisement")
			for _, pool := range s.kinds(metallbAPI, "IPAddressPool") {
				if !slices.ContainsFunc(advertisements, func(a *render.Object) bool { return selects(a, pool) }) {
					found = append(found, problem(s.At(pool, "metadata", "name"), "name it in the ipAddressPools of an advertisement", "nothing announces the addresses of %s", named(pool)))
				}
			}
			return found
		},
	}
}
