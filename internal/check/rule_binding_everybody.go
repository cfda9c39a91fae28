package check

import (
	"slices"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func bindingEverybody() Rule {
	return Rule{
		ID: "binding-everybody", Group: Cluster, Severity: finding.Error,
		Summary: "A role is given to everybody, to whoever says no name, or to a group that no rule holds back.",
		Reason: "system:authenticated is every pod with a token, system:anonymous everybody who reaches the API server; system:masters passes every check and is not taken back by deleting the binding " +
			"(https://kubernetes.io/docs/concepts/security/rbac-good-practices/#least-privilege; CIS 5.1.7).",
		Bad:    inWhoami(bindingExample("view", "kind: Group\nname: system:authenticated\napiGroup: rbac.authorization.k8s.io")),
		Good:   inWhoami(bindingExample("view", "kind: Group\nname: operators\napiGroup: rbac.authorization.k8s.io")),
		Covers: []string{"trivy KSV-0122", "trivy KSV-01011", "trivy KSV-0123"},
		Site: bindingRule(func(s *Site, binding *render.Object) []finding.Finding {
			// What Kubernetes itself lets everybody see.
			if slices.Contains([]string{"system:basic-user", "system:discovery", "system:public-info-viewer", "system:service-account-issuer-discovery"}, textAt(binding.Object, "roleRef", "name")) {
				return nil
			}
			var found []finding.Finding
			for _, who := range subjects(binding) {
				if slices.Contains([]string{"system:anonymous", "system:unauthenticated", "system:authenticated", "system:masters", "system:serviceaccounts"}, who.name) && who.kind != "ServiceAccount" {
					found = append(found, s.concern(binding, "", []string{"subjects", who.index, "name"}, "name the users or service accounts that need it",
						"%s gives %s to %s", named(binding), textAt(binding.Object, "roleRef", "name"), who.name))
				}
			}
			return found
		}),
	}
}
