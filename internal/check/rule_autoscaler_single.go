package check

import (
	"archipel/internal/finding"
	"archipel/internal/render"
)

func autoscalerSingle() Rule {
	return Rule{
		ID: "autoscaler-single", Group: Workloads, Severity: finding.Warning,
		Summary: "A HorizontalPodAutoscaler goes down to one pod.",
		Reason:  "What matters enough to be scaled is away whenever the node of its last pod is (https://kubernetes.io/docs/concepts/workloads/pods/disruptions/).",
		Bad:     autoscalerExample("example", 1),
		Good:    autoscalerExample("example", 2),
		Covers:  []string{"kube-linter hpa-minimum-three-replicas"},
		Site: eachObject("autoscaling", "HorizontalPodAutoscaler", func(_ *Site, o *render.Object) *flaw {
			if least, ok := intAt(o.Object, "spec", "minReplicas"); ok && least > 1 {
				return nil
			}
			return &flaw{[]string{"spec", "minReplicas"}, "set minReplicas to 2 or more", "goes down to one pod"}
		}),
	}
}
