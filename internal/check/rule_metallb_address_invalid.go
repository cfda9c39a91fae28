package check

import (
	"strconv"

	"archipel/internal/finding"
)

func metallbAddressInvalid() Rule {
	return Rule{
		ID: "metallb-address-invalid", Group: Kubernetes, Severity: finding.Error,
		Summary: "A pool of MetalLB has no addresses, or some that are none.",
		Reason: "MetalLB's webhook refuses the pool, and Flux stops at it. A pool that came in before the webhook ran makes the controller drop its whole configuration " +
			"(MetalLB, addressPoolFromCR and ParseCIDR of internal/config).",
		Bad:  poolExample("- 198.51.100.250-198.51.100.240\n"),
		Good: poolExample("- 198.51.100.240-198.51.100.250\n- 198.51.100.252/31\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.kinds(metallbAPI, "IPAddressPool") {
				addresses := textsAt(o.Object, "spec", "addresses")
				if len(addresses) == 0 {
					found = append(found, problem(s.At(o, "spec", "addresses"), "list at least one network or range", "%s has no addresses", named(o)))
				}
				for i, text := range addresses {
					if _, _, err := parseSpan(text); err != nil {
						found = append(found, problem(s.At(o, "spec", "addresses", strconv.Itoa(i)), "write first-last, or a network such as 198.51.100.240/28", "%s: %s", named(o), err))
					}
				}
			}
			return found
		},
	}
}
