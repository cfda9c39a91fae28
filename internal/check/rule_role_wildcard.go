package check

import (
	"fmt"
	"slices"
	"strings"

	"archipel/internal/finding"
)

func roleWildcard() Rule {
	check := grantRule("name the API groups, resources and verbs that are used", func(g grant) string {
		verbs, resources := strings.Join(g.verbs, "/"), strings.Join(g.resources, ", ")
		switch {
		case slices.Contains(g.verbs, "*"):
			verbs = "do anything with"
		case !slices.Contains(g.resources, "*") && !slices.Contains(g.groups, "*"):
			return ""
		}
		if slices.Contains(g.resources, "*") {
			resources = "any resource"
		}
		if slices.Contains(g.groups, "*") {
			return fmt.Sprintf("%s %s of any API group", verbs, resources)
		}
		return fmt.Sprintf("%s %s of %s", verbs, resources, strings.Join(groupNames(g.groups), ", "))
	})
	return Rule{
		ID: "role-wildcard", Group: Cluster, Severity: finding.Warning,
		Summary: "A role allows every verb, every resource or every API group.",
		Reason: "A wildcard also allows what the next version of Kubernetes or of an operator adds, which nobody has looked at. Every verb on every resource of " +
			"every group is cluster-admin by another name, and an error (https://kubernetes.io/docs/concepts/security/rbac-good-practices/#least-privilege; CIS 5.1.3).",
		Bad:    inWhoami(roleExample("apiGroups: [apps]\nresources: [\"*\"]\nverbs: [get]\n")),
		Good:   inWhoami(roleExample("apiGroups: [apps]\nresources: [deployments]\nverbs: [get]\n")),
		Covers: []string{"kube-linter wildcard-in-rules", "trivy KSV-0044", "trivy KSV-0045", "trivy KSV-0046", "trivy KSV-0112"},
		Site: func(s *Site) []finding.Finding {
			found := check(s)
			whole := map[string]bool{}
			for _, g := range s.grants() {
				if slices.Contains(g.verbs, "*") && slices.Contains(g.resources, "*") && slices.Contains(g.groups, "*") {
					whole[Subject(g.role)] = true
				}
			}
			for i := range found {
				found[i].Severity = 0
				if whole[found[i].Subject] {
					found[i].Severity = finding.Error
				}
			}
			return found
		},
	}
}

// groupNames gives the core API group its name.
func groupNames(groups []string) []string {
	shown := slices.Clone(groups)
	for i, g := range shown {
		if g == "" {
			shown[i] = "the core group"
		}
	}
	return shown
}
