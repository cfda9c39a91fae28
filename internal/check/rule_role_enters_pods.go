package check

import (
	"archipel/internal/finding"
)

func roleEntersPods() Rule {
	return Rule{
		ID: "role-enters-pods", Group: Cluster, Severity: finding.Error,
		Summary: "A role runs commands in pods, or attaches to them.",
		Reason: "Inside a pod it has the pod's service account, Secrets and host paths: in a privileged one, the node " +
			"(https://kubernetes.io/docs/concepts/security/rbac-good-practices/#workload-creation).",
		Bad:    inWhoami(roleExample("apiGroups: [\"\"]\nresources: [pods/exec]\nverbs: [create]\n")),
		Good:   inWhoami(roleExample("apiGroups: [\"\"]\nresources: [pods/log]\nverbs: [get]\n")),
		Covers: []string{"trivy KSV-0053", "trivy KSV-0054"},
		Site: grantRule("leave this to people, who are asked who they are, and take it from programs", func(g grant) string {
			for _, resource := range []string{"pods/exec", "pods/attach", "pods/ephemeralcontainers"} {
				if g.of("", resource) && len(g.may("get", "create", "update", "patch")) > 0 {
					return "enter pods through " + resource
				}
			}
			return ""
		}),
	}
}
