package check

import (
	"time"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func kustomizationTimeoutShort() Rule {
	return Rule{
		ID: "kustomization-timeout-short", Group: Flux, Severity: finding.Warning,
		Summary: "A Kustomization that waits gives up before a HelmRelease in it may.",
		Reason: "With wait, the Kustomization's timeout covers the whole installation of its HelmReleases. When it is shorter than theirs, the Kustomization fails, and its dependents " +
			"stop, while Helm is still at work (https://fluxcd.io/flux/components/kustomize/kustomizations/#timeout).",
		Bad:  whoamiWith("prune: true\nwait: true\n") + whoamiRelease(whoamiChartExample+"interval: 1h\ntimeout: 20m\n"),
		Good: whoamiWith("prune: true\nwait: true\n") + whoamiRelease(whoamiChartExample+"interval: 1h\ntimeout: 5m\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, k := range s.Render.Kustomizations {
				if k.Object == nil || !isTrue(k.Object.Object, "spec", "wait") {
					continue
				}
				given := kustomizationTimeout(k.Object)
				for _, r := range s.releasesOf(k) {
					if needs := releaseTimeout(r.Object); given < needs {
						found = append(found, problem(s.At(k.Object, "spec", "timeout"), "give the Kustomization a timeout of more than "+needs.String(),
							"%s waits %s, but %s in it may take %s", named(k.Object), given, named(r.Object), needs))
					}
				}
			}
			return found
		},
	}
}

// kustomizationTimeout is how long kustomize-controller waits: the timeout, by default
// 30 s less than the interval and at least 30 s.
func kustomizationTimeout(o *render.Object) time.Duration {
	if d, ok := durationAt(o.Object, "spec", "timeout"); ok {
		return d
	}
	every, _ := durationAt(o.Object, "spec", "interval")
	return max(every-30*time.Second, 30*time.Second)
}

// releaseTimeout is how long helm-controller waits for one action, by default 5 minutes.
func releaseTimeout(o *render.Object) time.Duration {
	longest, ok := durationAt(o.Object, "spec", "timeout")
	if !ok {
		longest = 5 * time.Minute
	}
	for _, action := range []string{"install", "upgrade"} {
		if d, ok := durationAt(o.Object, "spec", action, "timeout"); ok {
			longest = max(longest, d)
		}
	}
	return longest
}
