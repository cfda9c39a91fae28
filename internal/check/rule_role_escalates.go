package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
)

func roleEscalates() Rule {
	return Rule{
		ID: "role-escalates", Group: Cluster, Severity: finding.Error,
		Summary: "A role can give itself more rights: by roles, bindings, tokens, certificates or another's name.",
		Reason: "escalate, bind and impersonate exist to get round RBAC; whoever writes bindings, makes tokens of any service account or approves certificates has every right that somebody else has " +
			"(https://kubernetes.io/docs/concepts/security/rbac-good-practices/#privilege-escalation-risks).",
		Bad:    inWhoami(roleExample("apiGroups: [\"\"]\nresources: [serviceaccounts/token]\nverbs: [create]\n")),
		Good:   inWhoami(roleExample("apiGroups: [\"\"]\nresources: [serviceaccounts/token]\nresourceNames: [example]\nverbs: [create]\n")),
		Covers: []string{"trivy KSV-0043", "trivy KSV-0050", "trivy KSV-0051", "trivy KSV-0055"},
		Site: grantRule("remove it, or name the objects in resourceNames", func(g grant) string {
			if g.named() && !slices.Contains(g.names, "cluster-admin") {
				return ""
			}
			for _, way := range escalations() {
				for _, resource := range way.resources {
					if !g.of(way.group, resource) {
						continue
					}
					if verbs := g.may(way.verbs...); len(verbs) > 0 {
						return strings.Join(verbs, "/") + " " + resource
					}
				}
			}
			return ""
		}),
	}
}

// escalation is a way from some rights to more.
type escalation struct {
	group            string
	resources, verbs []string
}

// escalations are the ways of the page that the rule refers to, but for those that have rules of their own.
func escalations() []escalation {
	change := []string{"create", "update", "patch"}
	return []escalation{
		{rbacAPI, []string{"clusterroles", "roles"}, append([]string{"escalate", "bind"}, change...)},
		{rbacAPI, []string{"clusterrolebindings", "rolebindings"}, change},
		{"", []string{"users", "groups", "serviceaccounts"}, []string{"impersonate"}},
		{"authentication.k8s.io", []string{"userextras", "uids"}, []string{"impersonate"}},
		{"", []string{"serviceaccounts/token"}, []string{"create"}},
		{"certificates.k8s.io", []string{"certificatesigningrequests/approval"}, []string{"update", "patch"}},
		{"certificates.k8s.io", []string{"signers"}, []string{"approve", "sign"}},
	}
}
