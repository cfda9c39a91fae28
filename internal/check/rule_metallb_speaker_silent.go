package check

import (
	"archipel/internal/finding"
)

func metallbSpeakerSilent() Rule {
	return Rule{
		ID: "metallb-speaker-silent", Group: Flux, Severity: finding.Error,
		Summary: "MetalLB's speakers obey the label that k3s puts on servers, and announce nothing there.",
		Reason: "Control-plane nodes carry node.kubernetes.io/exclude-from-external-load-balancers. Speakers on them fall silent without a word, so a site of servers only, or whose agents " +
			"are down, loses its addresses (https://metallb.io/troubleshooting/; MetalLB's chart, speaker.ignoreExcludeLB).",
		Bad:  metallbRelease("interval: 1h\nvalues:\n  speaker:\n    frr:\n      enabled: false\n", "0.16.2"),
		Good: metallbRelease("interval: 1h\nvalues:\n  speaker:\n    ignoreExcludeLB: true\n", "0.16.2"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, r := range s.metallbReleases() {
				if !isTrue(r.Values, "speaker", "ignoreExcludeLB") {
					found = append(found, problem(s.At(r.Object, "spec", "values", "speaker", "ignoreExcludeLB"), "set speaker.ignoreExcludeLB to true",
						"speakers on control-plane nodes announce nothing"))
				}
			}
			return found
		},
	}
}
