package check

import (
	"archipel/internal/finding"
	"archipel/internal/fleet"
)

func ciliumKubernetesUnsupported() Rule {
	return Rule{
		ID: "cilium-kubernetes-unsupported", Group: Network, Severity: finding.Warning,
		Summary: "The release of Cilium is not tested with the version of Kubernetes of a site.",
		Reason: "Cilium names the versions that a release is tested with and guaranteed for " +
			"(https://docs.cilium.io/en/stable/network/kubernetes/compatibility/): Kubernetes 1.30 to 1.33 for Cilium 1.18, 1.33 to " +
			"1.36 for 1.20. Others depend on what Kubernetes keeps compatible.",
		Bad:  factsWith("k3s_version: v1.32.4+k3s1"),
		Good: factsWith("k3s_version: v1.35.4+k3s1"),
		Fleet: func(f *Fleet) []finding.Finding {
			return f.supported("cilium_version", "Cilium", func(s *fleet.Site) string { return s.Facts.CiliumVersion }, map[string]minors{
				"1.18": {30, 33}, "1.20": {33, 36},
			})
		},
	}
}
