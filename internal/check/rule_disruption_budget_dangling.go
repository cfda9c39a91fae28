package check

import (
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func disruptionBudgetDangling() Rule {
	return Rule{
		ID: "disruption-budget-dangling", Group: Workloads, Severity: finding.Warning,
		Summary: "A PodDisruptionBudget selects pods that nothing makes.",
		Reason:  "It protects nothing, and nobody notices before the nodes are drained (https://kubernetes.io/docs/tasks/run-application/configure-pdb/). Those that the charts of others make are not looked at.",
		Bad:     strings.Replace(budgeted("maxUnavailable: 1\n"), "      app: example\n  maxUnavailable", "      app: other\n  maxUnavailable", 1),
		Good:    budgeted("maxUnavailable: 1\n"),
		Site: eachObject("policy", "PodDisruptionBudget", func(s *Site, o *render.Object) *flaw {
			if s.operated(o) || s.selects(mapAt(o.Object, "spec", "selector"), o.GetNamespace()) {
				return nil
			}
			return &flaw{[]string{"spec", "selector"}, "select labels of a pod template in the same namespace", "selects pods that nothing in its namespace makes"}
		}),
	}
}
