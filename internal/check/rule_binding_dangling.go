package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func bindingDangling() Rule {
	return Rule{
		ID: "binding-dangling", Group: Cluster, Severity: finding.Warning,
		Summary: "A binding refers to a role or a service account that there is none of.",
		Reason: "Whoever makes an object of that name gets what was meant for another: the rights of the missing account, or those that the missing role is given " +
			"(https://kubernetes.io/docs/concepts/security/rbac-good-practices/#periodic-review).",
		Bad:  inWhoami(bindingExample("view", "kind: ServiceAccount\nname: gone\nnamespace: whoami")),
		Good: inWhoami(bindingExample("view", "kind: ServiceAccount\nname: example\nnamespace: whoami") + "---\napiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: example\n  namespace: whoami\n"),
		Site: func(s *Site) []finding.Finding {
			if s.incomplete() {
				return nil // what is missing may be in what was not rendered
			}
			there := map[string]bool{}
			for _, o := range slices.Concat(s.kinds("", "Namespace", "ServiceAccount"), s.kinds(rbacAPI, "ClusterRole", "Role")) {
				there[named(o)] = true
			}
			return bindingRule(func(s *Site, binding *render.Object) []finding.Finding {
				var found []finding.Finding
				kind, role := textAt(binding.Object, "roleRef", "kind"), textAt(binding.Object, "roleRef", "name")
				wanted := kind + " " + role
				if kind == "Role" {
					wanted = kind + " " + reference(binding.GetNamespace(), role)
				}
				if !there[wanted] && !ofKubernetes(kind, role) && role != "" {
					found = append(found, s.concern(binding, "", []string{"roleRef", "name"}, "name a role that there is, or remove the binding", "%s gives %s, which nothing makes", named(binding), wanted))
				}
				for _, who := range subjects(binding) {
					// In a namespace that is not ours there may be accounts that nobody sees here.
					if account := "ServiceAccount " + reference(who.namespace, who.name); who.kind == "ServiceAccount" && who.name != "default" && there["Namespace "+who.namespace] && !there[account] {
						found = append(found, s.concern(binding, "", []string{"subjects", who.index, "name"}, "remove the subject, or name an account that there is", "%s gives %s to %s, which nothing makes", named(binding), role, account))
					}
				}
				return found
			})(s)
		},
	}
}

// ofKubernetes says whether Kubernetes or k3s brings a role itself.
func ofKubernetes(kind, name string) bool {
	return strings.HasPrefix(name, "system:") || strings.HasPrefix(name, "k3s-") || kind == "ClusterRole" && slices.Contains([]string{"cluster-admin", "admin", "edit", "view"}, name)
}
