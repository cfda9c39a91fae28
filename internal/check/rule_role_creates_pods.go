package check

import (
	"strings"

	"archipel/internal/finding"
)

func roleCreatesPods() Rule {
	return Rule{
		ID: "role-creates-pods", Group: Cluster, Severity: finding.Error,
		Summary: "A role creates or changes pods, or what makes pods.",
		Reason: "A pod takes any service account and any Secret of its namespace, and where Pod Security allows it the node itself: who makes pods everywhere owns the cluster. In one namespace " +
			"it is a warning (https://kubernetes.io/docs/concepts/security/rbac-good-practices/#workload-creation; CIS 5.1.4).",
		Bad:    inWhoami(roleExample("apiGroups: [apps]\nresources: [daemonsets]\nverbs: [create]\n")),
		Good:   inWhoami(roleExample("apiGroups: [apps]\nresources: [daemonsets]\nverbs: [get]\n")),
		Covers: []string{"kube-linter access-to-create-pods", "trivy KSV-0048"},
		Site: grantRule("give a Role in the namespace where the pods are, and name what is changed in resourceNames", func(g grant) string {
			if g.named() {
				return ""
			}
			for _, resource := range []string{
				"/pods", "/replicationcontrollers", "apps/daemonsets", "apps/deployments", "apps/replicasets", "apps/statefulsets", "batch/cronjobs", "batch/jobs",
			} {
				apiGroup, name, _ := strings.Cut(resource, "/")
				if !g.of(apiGroup, name) {
					continue
				}
				if verbs := g.may("create", "update", "patch"); len(verbs) > 0 {
					return strings.Join(verbs, "/") + " " + name
				}
			}
			return ""
		}),
	}
}
