package check

import (
	"archipel/internal/finding"
	"archipel/internal/render"
)

func objectDuplicate() Rule {
	return Rule{
		ID: "object-duplicate", Group: Flux, Severity: finding.Error,
		Summary: "Two Kustomizations or HelmReleases create the same object.",
		Reason: "They overwrite each other at every interval, Helm refuses an object that another release owns, and whichever goes first takes the object with it " +
			"(https://fluxcd.io/flux/faq/#how-do-i-resolve-merge-conflicts).",
		Bad:  secondWhoami,
		Good: whoamiWith("prune: true\n"),
		Site: func(s *Site) []finding.Finding {
			return duplicates(s, "create it in one place", func(o *render.Object) bool { return group(o) != helmAPI || o.GetKind() != "HelmRelease" })
		},
	}
}
