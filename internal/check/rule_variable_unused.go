package check

import (
	"maps"
	"slices"

	"archipel/internal/finding"
)

func variableUnused() Rule {
	return Rule{
		ID: "variable-unused", Group: Flux, Severity: finding.Warning,
		Summary: "A Kustomization substitutes a variable that nothing below it uses.",
		Reason: "It reads as if it had an effect. Most often the name is mistyped on one side, and the default of the other is in use " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution). Facts that archipel derives are not looked at: sites may differ in what they use.",
		Bad:  whoamiWith("prune: true\npostBuild:\n  substitute:\n    colour: blue\n"),
		Good: whoamiWith("prune: true\npostBuild:\n  substitute:\n    colour: blue\n") + overlay("kubernetes/flux/apps/whoami/app/example.yaml", configMapExample+"  colour: ${colour}\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, k := range s.Render.Kustomizations {
				if k.Object == nil || !k.Built {
					continue
				}
				for _, name := range slices.Sorted(maps.Keys(mapAt(k.Object.Object, "spec", "postBuild", "substitute"))) {
					if !k.Used[name] {
						found = append(found, problem(s.KeyAt(k.Object, "spec", "postBuild", "substitute", name), "remove it, or use it as ${"+name+"}",
							"nothing in %s uses the variable %s", k.Path, name))
					}
				}
			}
			return found
		},
	}
}
