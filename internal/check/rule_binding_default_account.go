package check

import (
	"archipel/internal/finding"
	"archipel/internal/render"
)

func bindingDefaultAccount() Rule {
	return Rule{
		ID: "binding-default-account", Group: Cluster, Severity: finding.Warning,
		Summary: "A role is given to the default service account of a namespace.",
		Reason: "Every pod of the namespace that names no account has it, those that are added later included " +
			"(https://kubernetes.io/docs/concepts/security/rbac-good-practices/#minimize-distribution-of-privileged-tokens; CIS 5.1.5).",
		Bad:  inWhoami(bindingExample("view", "kind: ServiceAccount\nname: default\nnamespace: whoami")),
		Good: inWhoami(bindingExample("view", "kind: ServiceAccount\nname: example\nnamespace: whoami")),
		Site: bindingRule(func(s *Site, binding *render.Object) []finding.Finding {
			var found []finding.Finding
			for _, who := range subjects(binding) {
				if who.kind == "ServiceAccount" && who.name == "default" {
					found = append(found, s.concern(binding, "", []string{"subjects", who.index, "name"}, "make a service account for the pods that need it, and name it in both places",
						"%s gives %s to every pod of namespace %s that names no account", named(binding), textAt(binding.Object, "roleRef", "name"), who.namespace))
				}
			}
			return found
		}),
	}
}
