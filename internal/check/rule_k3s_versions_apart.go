package check

import (
	"archipel/internal/finding"
	"archipel/internal/fleet"
)

func k3sVersionsApart() Rule {
	return Rule{
		ID: "k3s-versions-apart", Group: Network, Severity: finding.Warning,
		Summary: "Versions of k3s at two sites are too far apart.",
		Reason: "One set of manifests serves all sites. Kubernetes removes APIs after three minor versions at the earliest " +
			"(https://kubernetes.io/docs/reference/using-api/deprecation-policy/), and supports three at a time: sites that are " +
			"further apart have no set of APIs in common that is supported at both.",
		Bad:  factsWith("k3s_version: v1.33.4+k3s1"),
		Good: factsWith("k3s_version: v1.34.4+k3s1"),
		Fleet: func(f *Fleet) []finding.Finding {
			return f.apart("k3s_version", 2, func(s *fleet.Site) string { return s.Facts.K3sVersion })
		},
	}
}
