package check

import (
	"slices"
	"strconv"

	"archipel/internal/finding"
)

func metallbListDuplicate() Rule {
	return Rule{
		ID: "metallb-list-duplicate", Group: Kubernetes, Severity: finding.Error,
		Summary: "An advertisement of MetalLB lists a pool, peer or community twice.",
		Reason:  "MetalLB's webhook refuses it (MetalLB, validateDuplicate of internal/config).",
		Bad:     advertisementExample("L2Advertisement", "ipAddressPools: [public, public]\ninterfaces:\n  - ${node_interface}\n"),
		Good:    advertisementExample("L2Advertisement", "ipAddressPools: [public, mesh]\ninterfaces:\n  - ${node_interface}\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.kinds(metallbAPI, "L2Advertisement", "BGPAdvertisement") {
				for _, field := range []string{"ipAddressPools", "peers", "communities"} {
					list := textsAt(o.Object, "spec", field)
					for i, text := range list {
						if slices.Index(list, text) < i {
							found = append(found, problem(s.At(o, "spec", field, strconv.Itoa(i)), "remove it", "%s lists %s twice in %s", named(o), text, field))
						}
					}
				}
			}
			return found
		},
	}
}
