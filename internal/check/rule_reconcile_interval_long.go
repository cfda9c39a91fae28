package check

import (
	"time"

	"archipel/internal/finding"
)

func reconcileIntervalLong() Rule {
	return Rule{
		ID: "reconcile-interval-long", Group: Flux, Severity: finding.Warning,
		Summary: "Flux looks at an object less often than once a day.",
		Reason: "The interval is when Flux repairs what somebody changed by hand and when it notices a new chart or artefact. A long one turns Flux into something that runs at " +
			"a push only (https://fluxcd.io/flux/components/kustomize/kustomizations/#interval).",
		Bad:  whoamiRelease(whoamiChartExample + "interval: 720h\n"),
		Good: whoamiRelease(whoamiChartExample + "interval: 1h\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.reconciled() {
				if every, ok := durationAt(o.Object, "spec", "interval"); ok && every > 24*time.Hour {
					found = append(found, problem(s.At(o, "spec", "interval"), "use 24h or less", "Flux looks at %s every %s only", named(o), textAt(o.Object, "spec", "interval")))
				}
			}
			return found
		},
	}
}
