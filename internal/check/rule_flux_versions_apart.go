package check

import (
	"archipel/internal/finding"
	"archipel/internal/fleet"
)

func fluxVersionsApart() Rule {
	return Rule{
		ID: "flux-versions-apart", Group: Network, Severity: finding.Warning,
		Summary: "Versions of Flux at two sites are too far apart.",
		Reason: "One tree serves all sites, and Flux promotes and removes versions of its API with minor releases " +
			"(https://fluxcd.io/flux/releases/): manifests that one site understands are refused at the other.",
		Bad:  factsWith("flux_version: v2.7.5"),
		Good: factsWith("flux_version: v2.8.6"),
		Fleet: func(f *Fleet) []finding.Finding {
			return f.apart("flux_version", 1, func(s *fleet.Site) string { return s.Facts.FluxVersion })
		},
	}
}
