package check

import (
	"slices"

	"archipel/internal/finding"
)

func dependencyUnknown() Rule {
	return Rule{
		ID: "dependency-unknown", Group: Flux, Severity: finding.Error,
		Summary: "A dependsOn names a Kustomization or HelmRelease that the site does not have.",
		Reason: "Flux waits for ever: the dependent never becomes ready, and neither does what depends on it. A dependency is an object of the same kind " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/#dependencies).",
		Bad:  whoamiWith("prune: true\ndependsOn:\n  - name: metallb-conf\n"),
		Good: whoamiWith("prune: true\ndependsOn:\n  - name: metallb-config\n"),
		Site: func(s *Site) []finding.Finding {
			known, anywhere := map[string]bool{}, map[string]bool{}
			var names []string
			for _, o := range s.dependents() {
				known[node(o.GetKind(), o.GetNamespace(), o.GetName())] = true
				anywhere[node(o.GetKind(), "", o.GetName())] = true
				names = append(names, o.GetName())
			}
			slices.Sort(names)
			var found []finding.Finding
			for _, o := range s.dependents() {
				for _, d := range dependencies(o) {
					// A dependency in another namespace that is not stated is dependency-namespace's.
					if known[node(o.GetKind(), d.namespace, d.name)] || !d.stated && anywhere[node(o.GetKind(), "", d.name)] {
						continue
					}
					found = append(found, problem(s.At(o, "spec", "dependsOn", d.index, "name"), "name one that the site runs, or remove the dependency",
						"%s depends on %s %s, which this site does not have", named(o), o.GetKind(), reference(d.namespace, d.name)))
				}
			}
			return found
		},
	}
}
