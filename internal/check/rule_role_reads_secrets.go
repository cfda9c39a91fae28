package check

import (
	"strings"

	"archipel/internal/finding"
)

func roleReadsSecrets() Rule {
	return Rule{
		ID: "role-reads-secrets", Group: Cluster, Severity: finding.Error,
		Summary: "A role reads or changes Secrets without naming them.",
		Reason: "Among the Secrets are tokens of other accounts, keys of registries and the age key of Flux: whoever reads them all has the rights of all. In one namespace " +
			"it is a warning (https://kubernetes.io/docs/concepts/security/rbac-good-practices/#listing-secrets; CIS 5.1.2).",
		Bad:    inWhoami(roleExample("apiGroups: [\"\"]\nresources: [secrets]\nverbs: [get, list]\n")),
		Good:   inWhoami(roleExample("apiGroups: [\"\"]\nresources: [secrets]\nresourceNames: [example]\nverbs: [get]\n")),
		Covers: []string{"kube-linter access-to-secrets", "trivy KSV-0041", "trivy KSV-0113"},
		Site: grantRule("give a Role in the namespace with resourceNames; only create cannot be limited so", func(g grant) string {
			if !g.of("", "secrets") || g.named() {
				return ""
			}
			if verbs := g.may("get", "list", "watch", "update", "patch", "delete", "deletecollection"); len(verbs) > 0 {
				return strings.Join(verbs, "/") + " any Secret"
			}
			return ""
		}),
	}
}
