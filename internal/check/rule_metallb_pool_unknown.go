package check

import (
	"slices"
	"strconv"
	"strings"

	"archipel/internal/finding"
)

func metallbPoolUnknown() Rule {
	return Rule{
		ID: "metallb-pool-unknown", Group: Kubernetes, Severity: finding.Error,
		Summary: "An advertisement names a pool of MetalLB that the site does not have.",
		Reason: "MetalLB takes it without a word and announces nothing for that name; the pool that was meant stays silent " +
			"(MetalLB, setL2AdvertisementsToPools of internal/config).",
		Bad:  advertisementExample("L2Advertisement", "ipAddressPools: [public, mash]\ninterfaces:\n  - ${node_interface}\n"),
		Good: advertisementExample("L2Advertisement", "ipAddressPools: [public, mesh]\ninterfaces:\n  - ${node_interface}\n"),
		Site: func(s *Site) []finding.Finding {
			if !s.poolsKnown() {
				return nil
			}
			var found []finding.Finding
			names := poolNames(s)
			for _, o := range s.kinds(metallbAPI, "L2Advertisement", "BGPAdvertisement") {
				for i, name := range textsAt(o.Object, "spec", "ipAddressPools") {
					if !slices.Contains(names, name) {
						found = append(found, problem(s.At(o, "spec", "ipAddressPools", strconv.Itoa(i)), "name one of "+strings.Join(names, ", "),
							"%s announces pool %s, which this site does not have", named(o), name))
					}
				}
			}
			return found
		},
	}
}

// poolNames returns the names of a site's pools, sorted.
func poolNames(s *Site) []string {
	var names []string
	for _, o := range s.kinds(metallbAPI, "IPAddressPool") {
		names = append(names, o.GetName())
	}
	slices.Sort(names)
	return slices.Compact(names)
}
