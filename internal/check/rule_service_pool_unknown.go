package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
)

func servicePoolUnknown() Rule {
	return Rule{
		ID: "service-pool-unknown", Group: Kubernetes, Severity: finding.Error,
		Summary: "A Service asks for an address of a pool that the site does not have.",
		Reason:  "MetalLB gives it none, and the Service stays pending (https://metallb.io/usage/#requesting-specific-ips).",
		Bad:     inWhoami(balancerExample("example", "metallb.io/address-pool: pubic\n")),
		Good:    inWhoami(balancerExample("example", "metallb.io/address-pool: public\n")),
		Site: func(s *Site) []finding.Finding {
			if !s.poolsKnown() {
				return nil
			}
			names := poolNames(s)
			var found []finding.Finding
			for _, o := range s.kinds("", "Service") {
				for _, key := range []string{"metallb.io/address-pool", "metallb.universe.tf/address-pool"} {
					if pool := o.GetAnnotations()[key]; pool != "" && !slices.Contains(names, pool) {
						found = append(found, problem(s.At(o, "metadata", "annotations", key), "name one of "+strings.Join(names, ", "),
							"%s asks for an address of pool %s, which this site does not have", named(o), pool))
					}
				}
			}
			return found
		},
	}
}
