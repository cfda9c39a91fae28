package check

import (
	"archipel/internal/finding"
	"archipel/internal/fleet"
)

func fluxKubernetesUnsupported() Rule {
	return Rule{
		ID: "flux-kubernetes-unsupported", Group: Network, Severity: finding.Error,
		Summary: "The release of Flux does not support the version of Kubernetes of a site.",
		Reason: "flux check refuses to install below the least version that a release was tested with " +
			"(https://github.com/fluxcd/flux2/blob/main/cmd/flux/check.go; https://fluxcd.io/flux/installation/#prerequisites): " +
			"Kubernetes 1.31 for Flux 2.6, 1.32 for 2.7, 1.33 for 2.8 and 2.9.",
		Bad:  factsWith("k3s_version: v1.31.4+k3s1"),
		Good: factsWith("k3s_version: v1.35.4+k3s1"),
		Fleet: func(f *Fleet) []finding.Finding {
			return f.supported("flux_version", "Flux", func(s *fleet.Site) string { return s.Facts.FluxVersion }, map[string]minors{
				"2.6": {31, newest}, "2.7": {32, newest}, "2.8": {33, newest}, "2.9": {33, newest},
			})
		},
	}
}
