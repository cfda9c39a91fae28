package check

import (
	"archipel/internal/finding"
)

func disruptionBudgetMissing() Rule {
	return Rule{
		ID: "disruption-budget-missing", Group: Workloads, Severity: finding.Warning,
		Summary: "A workload with several pods has no PodDisruptionBudget.",
		Reason:  "Draining nodes, as each upgrade does, may evict all its pods at once (https://kubernetes.io/docs/tasks/run-application/configure-pdb/).",
		Bad:     deploymentExample("replicas: 2\n", "", ""),
		Good:    budgeted("maxUnavailable: 1\n"),
		Site: eachWorkload(func(s *Site, w *workload) *flaw {
			if s.pods(w) < 2 || len(s.budgets(w)) > 0 {
				return nil
			}
			return &flaw{[]string{"podDisruptionBudget"}, "add a PodDisruptionBudget with maxUnavailable: 1", "has several pods, and no PodDisruptionBudget"}
		}),
	}
}

// budgeted is an example: a Deployment of two pods and a PodDisruptionBudget.
func budgeted(spec string) string {
	return deploymentExample("replicas: 2\n", "", "") + `---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: example
  namespace: whoami
spec:
  selector:
    matchLabels:
      app: example
` + indent(spec, 2)
}
