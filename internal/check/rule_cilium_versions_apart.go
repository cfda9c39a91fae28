package check

import (
	"archipel/internal/finding"
	"archipel/internal/fleet"
)

func ciliumVersionsApart() Rule {
	return Rule{
		ID: "cilium-versions-apart", Group: Network, Severity: finding.Error,
		Summary: "Versions of Cilium at two sites are too far apart.",
		Reason: "Clusters of a mesh may differ by one minor version, as during an upgrade " +
			"(https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/, \"Cluster Mesh is compatible with one minor version " +
			"of difference\").",
		Bad:  factsWith("cilium_version: 1.18.4"),
		Good: factsWith("cilium_version: 1.19.2"),
		Fleet: func(f *Fleet) []finding.Finding {
			return f.apart("cilium_version", 1, func(s *fleet.Site) string { return s.Facts.CiliumVersion })
		},
	}
}
