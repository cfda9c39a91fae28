package check

import (
	"archipel/internal/finding"
)

func metallbInterfacesUnset() Rule {
	return Rule{
		ID: "metallb-interfaces-unset", Group: Flux, Severity: finding.Warning,
		Summary: "An L2Advertisement does not say on which interfaces addresses are announced.",
		Reason: "MetalLB then answers on all of them, those of Cilium, of the WireGuard link and of management networks included, and another network learns addresses that are none of its " +
			"business (https://metallb.io/configuration/_advanced_l2_configuration/#specify-network-interfaces-that-lb-ip-can-be-announced-from).",
		Bad:  advertisementExample("L2Advertisement", "ipAddressPools: [public, mesh]\n"),
		Good: advertisementExample("L2Advertisement", "ipAddressPools: [public, mesh]\ninterfaces:\n  - ${node_interface}\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.kinds(metallbAPI, "L2Advertisement") {
				if len(listAt(o.Object, "spec", "interfaces")) == 0 {
					found = append(found, problem(s.At(o, "spec"), "list the interfaces, for example ${node_interface}", "%s announces on every interface", named(o)))
				}
			}
			return found
		},
	}
}
