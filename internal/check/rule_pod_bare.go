package check

import (
	"archipel/internal/finding"
)

func podBare() Rule {
	return Rule{
		ID: "pod-bare", Group: Workloads, Severity: finding.Warning,
		Summary: "A Pod stands alone.",
		Reason: "Nothing makes it again when its node goes, and it cannot be changed but by deleting it (https://kubernetes.io/docs/concepts/configuration/overview/#naked-pods-vs-replicasets-deployments-and-jobs). " +
			"Other kinds must restart what exits, or are meant to end.",
		Bad:    inWhoami(podExample("registry.example.org/example:1.0.0")),
		Good:   containerExample(""),
		Covers: []string{"kube-linter restart-policy"},
		Site: eachPod(func(_ *Site, w *workload) *flaw {
			if w.GetKind() != "Pod" || w.Origin.Hook {
				return nil
			}
			return &flaw{nil, "make a Deployment, or a Job when it is to end", "stands alone: nothing makes it again when its node goes"}
		}),
	}
}
