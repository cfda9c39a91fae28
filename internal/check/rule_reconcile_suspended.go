package check

import (
	"archipel/internal/finding"
)

func reconcileSuspended() Rule {
	return Rule{
		ID: "reconcile-suspended", Group: Flux, Severity: finding.Warning,
		Summary: "A Flux object is suspended in Git.",
		Reason: "Flux no longer applies it, repairs it or fetches it, at any site and after any change, until somebody remembers " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/#suspend). `flux suspend` is for an hour; a line in Git stays.",
		Bad:  whoamiWith("prune: true\nsuspend: true\n"),
		Good: whoamiWith("prune: true\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.reconciled() {
				if isTrue(o.Object, "spec", "suspend") {
					found = append(found, problem(s.At(o, "spec", "suspend"), "remove the line, or ignore this finding with the reason and an end", "%s is suspended", named(o)))
				}
			}
			return found
		},
	}
}
