package check

import (
	"strconv"

	"archipel/internal/finding"
	"archipel/internal/fleet"
)

func mtuDiffers() Rule {
	return Rule{
		ID: "mtu-differs", Group: Network, Severity: finding.Warning,
		Summary: "The MTU of the pods differs between sites.",
		Reason: "Pods of all sites talk to one another directly: the larger packets of one site are dropped at the other where path MTU " +
			"discovery is filtered.",
		Bad:  factsWith("mtu: 1300"),
		Good: sharedWith("mtu: 1300"),
		Fleet: func(f *Fleet) []finding.Finding {
			return f.disagree("mtu", func(s *fleet.Site) string { return strconv.Itoa(s.Facts.MTU) }, "state it once, in fleet.yml", "so that packets of one site may be too large for the other")
		},
	}
}
