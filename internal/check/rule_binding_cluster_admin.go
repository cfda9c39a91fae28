package check

import (
	"archipel/internal/finding"
	"archipel/internal/render"
)

func bindingClusterAdmin() Rule {
	return Rule{
		ID: "binding-cluster-admin", Group: Cluster, Severity: finding.Error,
		Summary: "Somebody is given cluster-admin.",
		Reason: "That is every right on everything: whoever takes over the account has the site, its Secrets and, through pods, its nodes " +
			"(https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles; CIS 5.1.1).",
		Bad:    inWhoami(bindingExample("cluster-admin", "kind: ServiceAccount\nname: example\nnamespace: whoami")),
		Good:   inWhoami(bindingExample("view", "kind: ServiceAccount\nname: example\nnamespace: whoami")),
		Covers: []string{"kube-linter cluster-admin-role-binding", "trivy KSV-0111"},
		Site: bindingRule(func(s *Site, binding *render.Object) []finding.Finding {
			role := textAt(binding.Object, "roleRef", "name")
			if textAt(binding.Object, "roleRef", "kind") != "ClusterRole" {
				return nil
			}
			const fix = "bind a role that has what is used, and no more"
			at := []string{"roleRef", "name"}
			switch {
			case role == "cluster-admin" && binding.GetKind() == "RoleBinding":
				f := s.concern(binding, "", at, fix, "%s gives cluster-admin in namespace %s to %s", named(binding), binding.GetNamespace(), whom(binding))
				f.Severity = finding.Warning
				return []finding.Finding{f}
			case role == "cluster-admin":
				return []finding.Finding{s.concern(binding, "", at, fix, "%s gives cluster-admin to %s", named(binding), whom(binding))}
			case (role == "admin" || role == "edit") && binding.GetKind() == "ClusterRoleBinding":
				return []finding.Finding{s.concern(binding, "", at, fix, "%s gives %s, which makes pods, in every namespace to %s", named(binding), role, whom(binding))}
			}
			return nil
		}),
	}
}

// whom says for a message whom a binding gives its role.
func whom(binding *render.Object) string {
	shown := ""
	for i, who := range subjects(binding) {
		if i > 0 {
			shown += ", "
		}
		shown += who.kind + " " + reference(who.namespace, who.name)
	}
	if shown == "" {
		return "nobody"
	}
	return shown
}
