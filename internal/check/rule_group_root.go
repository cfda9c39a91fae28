package check

import (
	"slices"

	"archipel/internal/finding"
)

func groupRoot() Rule {
	return Rule{
		ID: "group-root", Group: Workloads, Severity: finding.Warning,
		Summary: "A pod runs with the group of root.",
		Reason:  "Files that belong to root are often writable for its group, in images and in volumes (https://kubernetes.io/docs/tasks/configure-pod-container/security-context/).",
		Bad:     podFieldsExample("securityContext:\n  runAsUser: 1000\n  runAsGroup: 0\n"),
		Good:    podFieldsExample("securityContext:\n  runAsUser: 1000\n  runAsGroup: 1000\n"),
		Covers:  []string{"trivy KSV-0116"},
		Site: eachPod(func(_ *Site, w *workload) *flaw {
			for _, field := range []string{"runAsGroup", "fsGroup"} {
				if id, ok := intAt(w.spec, "securityContext", field); ok && id == 0 {
					return &flaw{[]string{"securityContext", field}, "set securityContext." + field + " to a number above 0", "has root's group as " + field}
				}
			}
			for _, c := range w.containers {
				if id, ok := intAt(c.spec, "securityContext", "runAsGroup"); ok && id == 0 {
					return &flaw{append(slices.Clone(c.path[len(w.pod):]), "securityContext", "runAsGroup"), "set securityContext.runAsGroup to a number above 0", "has root's group as runAsGroup in container " + c.name}
				}
			}
			return nil
		}),
	}
}
