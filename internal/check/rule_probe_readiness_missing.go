package check

import (
	"slices"

	"archipel/internal/finding"
)

func probeReadinessMissing() Rule {
	return Rule{
		ID: "probe-readiness-missing", Group: Workloads, Severity: finding.Warning,
		Summary: "A pod that a Service sends to has no readiness probe.",
		Reason: "The Service sends to it before it can answer and after it no longer can, at every rollout (https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/). " +
			"One container with a probe makes the pod wait.",
		Bad:    readinessExample(""),
		Good:   readinessExample("readinessProbe:\n  tcpSocket:\n    port: 8080\n"),
		Covers: []string{"kube-linter no-readiness-probe"},
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, w := range s.workloads() {
				if !w.stays() || slices.ContainsFunc(w.containers, func(c *container) bool { return valueAt(c.spec, "readinessProbe") != nil }) || len(s.services(w)) == 0 {
					continue
				}
				for _, c := range w.containers {
					if !c.first && len(listAt(c.spec, "ports")) > 0 {
						found = append(found, s.concern(w.Object, c.name, at(c.path, "readinessProbe"), "add a readinessProbe", "container %s of %s has no readiness probe, and a Service sends to it", c.name, named(w.Object)))
						break
					}
				}
			}
			return found
		},
	}
}

// readinessExample is an example: a Deployment whose container has fields, and its Service.
func readinessExample(fields string) string {
	return containerExample("ports:\n  - containerPort: 8080\n"+fields) + `---
apiVersion: v1
kind: Service
metadata:
  name: example
  namespace: whoami
spec:
  selector:
    app: example
  ports:
    - port: 80
      targetPort: 8080
`
}
