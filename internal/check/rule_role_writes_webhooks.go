package check

import (
	"strings"

	"archipel/internal/finding"
)

func roleWritesWebhooks() Rule {
	return Rule{
		ID: "role-writes-webhooks", Group: Cluster, Severity: finding.Error,
		Summary: "A role changes the webhooks or the policies that admit objects, without naming them.",
		Reason: "A webhook of one's own sees every Secret that is written and may change every pod; without those that are there, nothing is refused any more " +
			"(https://kubernetes.io/docs/concepts/security/rbac-good-practices/#control-admission-webhooks).",
		Bad:    inWhoami(roleExample("apiGroups: [admissionregistration.k8s.io]\nresources: [mutatingwebhookconfigurations]\nverbs: [update]\n")),
		Good:   inWhoami(roleExample("apiGroups: [admissionregistration.k8s.io]\nresources: [mutatingwebhookconfigurations]\nresourceNames: [example]\nverbs: [update]\n")),
		Covers: []string{"trivy KSV-0114"},
		Site: grantRule("name them in resourceNames", func(g grant) string {
			if g.named() {
				return ""
			}
			for _, resource := range []string{
				"mutatingwebhookconfigurations", "validatingwebhookconfigurations",
				"mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
			} {
				if g.of("admissionregistration.k8s.io", resource) {
					if verbs := g.may("create", "update", "patch", "delete", "deletecollection"); len(verbs) > 0 {
						return strings.Join(verbs, "/") + " " + resource
					}
				}
			}
			return ""
		}),
	}
}
