package check

import (
	"archipel/internal/finding"
)

func rolloutAbrupt() Rule {
	return Rule{
		ID: "rollout-abrupt", Group: Workloads, Severity: finding.Warning,
		Summary: "A workload with several pods stops them all before it starts new ones.",
		Reason: "Each change is an outage, as long as the new pods take or for ever where they fail (https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#strategy). OnDelete leaves old " +
			"pods, with the holes that the change closes. One pod with a volume of its own cannot do otherwise, and is not looked at.",
		Bad:    deploymentExample("replicas: 2\nstrategy:\n  type: Recreate\n", "", ""),
		Good:   deploymentExample("replicas: 2\nstrategy:\n  type: RollingUpdate\n", "", ""),
		Covers: []string{"kube-linter no-rolling-update-strategy"},
		Site: eachWorkload(func(s *Site, w *workload) *flaw {
			if textAt(w.Object.Object, "spec", "strategy", "type") == "Recreate" && s.pods(w) > 1 {
				return &flaw{[]string{"spec", "strategy", "type"}, "leave the type out: RollingUpdate is the default", "stops all its pods before it starts new ones"}
			}
			if textAt(w.Object.Object, "spec", "updateStrategy", "type") == "OnDelete" {
				return &flaw{[]string{"spec", "updateStrategy", "type"}, "leave the type out: RollingUpdate is the default", "keeps old pods until somebody deletes them"}
			}
			return nil
		}),
	}
}
