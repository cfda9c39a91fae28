package check

import (
	"archipel/internal/finding"
)

func serviceAddressDuplicate() Rule {
	return Rule{
		ID: "service-address-duplicate", Group: Kubernetes, Severity: finding.Error,
		Summary: "Two Services of a site ask for the same address.",
		Reason: "MetalLB gives it to the one that comes first, and the other stays pending; which one that is changes. Services share an address only with the same key in " +
			"metallb.io/allow-shared-ip and different ports (https://metallb.io/usage/#ip-address-sharing).",
		Bad: inWhoami(balancerExample("one", "metallb.io/loadBalancerIPs: 198.51.100.210\n") + "---" +
			balancerExample("two", "metallb.io/loadBalancerIPs: 198.51.100.210\n")),
		Good: inWhoami(balancerExample("one", "metallb.io/loadBalancerIPs: 198.51.100.210\n") + "---" +
			balancerExample("two", "metallb.io/loadBalancerIPs: 198.51.100.211\n")),
		Site: func(s *Site) []finding.Finding {
			first := map[string]wanted{}
			var found []finding.Finding
			for _, w := range s.wantedAddresses() {
				before, taken := first[w.address]
				if !taken {
					first[w.address] = w
					continue
				}
				if before.service != w.service && (w.shared == "" || w.shared != before.shared) {
					found = append(found, problem(s.At(w.service, w.field...), "choose another address, or share it with metallb.io/allow-shared-ip",
						"%s asks for %s, as does %s", named(w.service), w.address, named(before.service)))
				}
			}
			return found
		},
	}
}
