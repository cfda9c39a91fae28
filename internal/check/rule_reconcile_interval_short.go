package check

import (
	"time"

	"archipel/internal/finding"
)

func reconcileIntervalShort() Rule {
	return Rule{
		ID: "reconcile-interval-short", Group: Flux, Severity: finding.Warning,
		Summary: "Flux looks at an object more often than every 30 seconds.",
		Reason: "Every look builds, decrypts and compares everything, or asks a server for its index; at many sites that is a load of its own, and registries limit it. " +
			"A change in Git does not wait for the interval of a Kustomization: it follows its source (https://fluxcd.io/flux/components/kustomize/kustomizations/#interval).",
		Bad:  whoamiRelease(whoamiChartExample + "interval: 5s\n"),
		Good: whoamiRelease(whoamiChartExample + "interval: 1h\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.reconciled() {
				if every, ok := durationAt(o.Object, "spec", "interval"); ok && every < 30*time.Second {
					found = append(found, problem(s.At(o, "spec", "interval"), "use at least 30s; 1m for a source and 10m for what is applied are usual",
						"Flux looks at %s every %s", named(o), textAt(o.Object, "spec", "interval")))
				}
			}
			return found
		},
	}
}

// whoamiChartExample is the chart in the spec of the app whoami, for examples.
const whoamiChartExample = `
releaseName: whoami
targetNamespace: whoami
storageNamespace: whoami
chart:
  spec:
    chart: ./kubernetes/flux/apps/whoami/chart
    sourceRef:
      kind: GitRepository
      name: flux-system
`
