package check

import (
	"fmt"
	"strconv"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func disruptionBudgetBlocking() Rule {
	return Rule{
		ID: "disruption-budget-blocking", Group: Workloads, Severity: finding.Warning,
		Summary: "A PodDisruptionBudget never lets a pod go.",
		Reason: "A node with such a pod cannot be drained: upgrades wait until somebody removes the budget, and stay undone until then " +
			"(https://kubernetes.io/docs/tasks/run-application/configure-pdb/).",
		Bad:    budgeted("minAvailable: 2\n"),
		Good:   budgeted("minAvailable: 1\n"),
		Covers: []string{"kube-linter pdb-max-unavailable", "kube-linter pdb-min-available"},
		Site: eachObject("policy", "PodDisruptionBudget", func(s *Site, o *render.Object) *flaw {
			if n, _, ok := share(valueAt(o.Object, "spec", "maxUnavailable")); ok && n == 0 {
				return &flaw{[]string{"spec", "maxUnavailable"}, "set maxUnavailable to 1 or more", "never lets a pod go: maxUnavailable is 0"}
			}
			n, percent, ok := share(valueAt(o.Object, "spec", "minAvailable"))
			if !ok {
				return nil
			}
			if percent && n >= 100 {
				return &flaw{[]string{"spec", "minAvailable"}, "set maxUnavailable to 1 instead", "never lets a pod go: minAvailable is all of them"}
			}
			for _, w := range s.workloads() {
				pods := s.pods(w)
				if !percent && pods > 0 && n >= pods && w.GetNamespace() == o.GetNamespace() && matches(mapAt(o.Object, "spec", "selector"), w.labels) {
					return &flaw{[]string{"spec", "minAvailable"}, "set maxUnavailable to 1 instead", fmt.Sprintf("never lets a pod go: minAvailable is %d, and %s has %d", n, named(w.Object), pods)}
				}
			}
			return nil
		}),
	}
}

// share reads a number of pods or a percentage of them.
func share(value any) (n int64, percent, ok bool) {
	text, isText := value.(string)
	if !isText {
		n, ok = intAt(value)
		return n, false, ok
	}
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, percent, err == nil
}
