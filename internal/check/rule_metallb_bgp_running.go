package check

import (
	"strings"

	"archipel/internal/finding"
)

func metallbBGPRunning() Rule {
	return Rule{
		ID: "metallb-bgp-running", Group: Flux, Severity: finding.Warning,
		Summary: "MetalLB runs its BGP router although the site has no BGP peer.",
		Reason: "From 0.16 on the chart installs frr-k8s by default: a privileged router on every node, which listens, takes memory and has to be patched, for nothing when addresses are " +
			"announced in layer 2 (MetalLB's chart, frrk8s.enabled and speaker.frr.enabled; https://metallb.io/concepts/bgp/).",
		Bad:  metallbRelease("interval: 1h\nvalues:\n  speaker:\n    ignoreExcludeLB: true\n", "0.16.2"),
		Good: metallbRelease("interval: 1h\nvalues:\n  frrk8s:\n    enabled: false\n  speaker:\n    frr:\n      enabled: false\n", "0.16.2"),
		Site: func(s *Site) []finding.Finding {
			if len(s.kinds(metallbAPI, "BGPPeer", "BGPAdvertisement")) > 0 {
				return nil
			}
			var found []finding.Finding
			for _, r := range s.metallbReleases() {
				for _, path := range [][]string{{"frrk8s", "enabled"}, {"speaker", "frr", "enabled"}} {
					if valueAt(r.Values, path...) != false {
						found = append(found, problem(s.At(r.Object, append([]string{"spec", "values"}, path...)...), "set it to false",
							"%s is not false, but the site has no BGP peer", strings.Join(path, ".")))
					}
				}
			}
			return found
		},
	}
}
