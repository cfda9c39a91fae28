package check

import (
	"strings"

	"archipel/internal/finding"
)

func requestMissing() Rule {
	return Rule{
		ID: "request-missing", Group: Workloads, Severity: finding.Warning,
		Summary: "A container does not say how much CPU or memory it needs.",
		Reason: "The scheduler takes it for free and puts too many such pods on one node; when the node runs short, they are the first to be starved or evicted " +
			"(https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/). Containers that end before the others begin count only where theirs are larger, and are not looked at.",
		Bad:    containerExample("resources:\n  requests:\n    memory: 16Mi\n"),
		Good:   containerExample("resources:\n  requests:\n    cpu: 10m\n    memory: 16Mi\n"),
		Covers: []string{"kube-linter unset-cpu-requirements", "trivy KSV-0015", "trivy KSV-0016"},
		Site: eachContainer(func(w *workload, c *container) *flaw {
			var missing []string
			for _, resource := range []string{"cpu", "memory"} {
				if valueAt(c.spec, "resources", "requests", resource) == nil && valueAt(c.spec, "resources", "limits", resource) == nil && valueAt(w.spec, "resources", "requests", resource) == nil {
					missing = append(missing, resource)
				}
			}
			if c.first || missing == nil {
				return nil
			}
			return &flaw{[]string{"resources", "requests"}, "set resources.requests to what it uses in rest", "asks for no " + strings.Join(missing, " and no ")}
		}),
	}
}
