package check

import (
	"time"

	"archipel/internal/finding"
)

func kustomizationRetrySlow() Rule {
	return Rule{
		ID: "kustomization-retry-slow", Group: Flux, Severity: finding.Warning,
		Summary: "A Kustomization that failed is tried again only after its whole interval, longer than 5 minutes.",
		Reason: "Without retryInterval, kustomize-controller retries a failure at the interval. A site that comes up passes through many short failures, so one long wait follows " +
			"another (https://fluxcd.io/flux/components/kustomize/kustomizations/#retry-interval).",
		Bad: overlay("kubernetes/flux/apps/whoami/ks.yaml", `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: whoami
  namespace: flux-system
  labels:
    archipel/defaults: none
spec:
  interval: 1h
  path: ./kubernetes/flux/apps/whoami/app
  prune: true
  sourceRef:
    kind: GitRepository
    name: flux-system
  postBuild:
    substituteFrom:
      - kind: ConfigMap
        name: site
`),
		Good: whoamiWith("prune: true\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.kinds(kustomizeAPI, "Kustomization") {
				every, _ := durationAt(o.Object, "spec", "interval")
				if _, ok := durationAt(o.Object, "spec", "retryInterval"); !ok && every > 5*time.Minute {
					found = append(found, problem(s.At(o, "spec", "interval"), "set spec.retryInterval, for example to 30s",
						"%s is tried again only %s after a failure", named(o), textAt(o.Object, "spec", "interval")))
				}
			}
			return found
		},
	}
}
