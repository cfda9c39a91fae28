package check

import (
	"archipel/internal/finding"
	"archipel/internal/fleet"
)

func interconnectDiffers() Rule {
	return Rule{
		ID: "interconnect-differs", Group: Network, Severity: finding.Error,
		Summary: "Sites are joined in different ways.",
		Reason:  "A link has two ends: a site without WireGuard does not answer the gateways of the others.",
		Bad:     factsWith("interconnect: none"),
		Good:    sharedWith("interconnect: none"),
		Fleet: func(f *Fleet) []finding.Finding {
			return f.disagree("interconnect", func(s *fleet.Site) string { return s.Facts.Interconnect }, "state it once, in fleet.yml", "but a link needs the same at both ends")
		},
	}
}
