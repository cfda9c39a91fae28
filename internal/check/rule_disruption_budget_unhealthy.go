package check

import (
	"archipel/internal/finding"
	"archipel/internal/render"
)

func disruptionBudgetUnhealthy() Rule {
	return Rule{
		ID: "disruption-budget-unhealthy", Group: Workloads, Severity: finding.Warning,
		Summary: "A PodDisruptionBudget keeps pods that do not work.",
		Reason: "Unless unhealthyPodEvictionPolicy is AlwaysAllow, a pod that crashes counts as missing and may not be evicted, so that a node cannot be drained because of an application that " +
			"is broken anyway (https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy).",
		Bad:    budgeted("maxUnavailable: 1\n"),
		Good:   budgeted("maxUnavailable: 1\nunhealthyPodEvictionPolicy: AlwaysAllow\n"),
		Covers: []string{"kube-linter pdb-unhealthy-pod-eviction-policy"},
		Site: eachObject("policy", "PodDisruptionBudget", func(_ *Site, o *render.Object) *flaw {
			if textAt(o.Object, "spec", "unhealthyPodEvictionPolicy") != "" {
				return nil
			}
			return &flaw{[]string{"spec", "unhealthyPodEvictionPolicy"}, "set unhealthyPodEvictionPolicy to AlwaysAllow", "keeps pods that do not work on a node that is drained"}
		}),
	}
}
