package check

import (
	"archipel/internal/finding"
)

func probeLivenessMissing() Rule {
	return Rule{
		ID: "probe-liveness-missing", Group: Workloads, Severity: finding.Warning,
		Summary: "A container that listens has no liveness probe.",
		Reason: "A program that hangs keeps its place for ever: Kubernetes restarts only what exits (https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/). " +
			"Containers without ports and those that end are not looked at.",
		Bad:    containerExample("ports:\n  - containerPort: 8080\n"),
		Good:   containerExample("ports:\n  - containerPort: 8080\nlivenessProbe:\n  tcpSocket:\n    port: 8080\n"),
		Covers: []string{"kube-linter no-liveness-probe"},
		Site: eachContainer(func(w *workload, c *container) *flaw {
			if !w.stays() || c.first || len(listAt(c.spec, "ports")) == 0 || valueAt(c.spec, "livenessProbe") != nil {
				return nil
			}
			return &flaw{[]string{"livenessProbe"}, "add a livenessProbe that fails only where a restart helps", "has no liveness probe"}
		}),
	}
}
