package check

import (
	"time"

	"archipel/internal/finding"
)

func networkLayerTimeout() Rule {
	return Rule{
		ID: "network-layer-timeout", Group: Flux, Severity: finding.Error,
		Summary: "The HelmRelease of Cilium times out in less than 15 minutes.",
		Reason: "Cilium's DaemonSet is replaced node by node. The default of 5 minutes ends in the middle of it, and leaves a site with two versions of its network " +
			"(https://fluxcd.io/flux/components/helm/helmreleases/#timeout; docs/decisions/0005).",
		Bad:  ciliumRelease("timeout: 5m\n"),
		Good: ciliumRelease("timeout: 20m\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, r := range s.networkReleases() {
				if d := releaseTimeout(r.Object); d < 15*time.Minute {
					found = append(found, problem(s.At(r.Object, "spec", "timeout"), "set spec.timeout to 20m",
						"%s times out after %s, in the middle of a rollout", named(r.Object), d))
				}
			}
			return found
		},
	}
}
