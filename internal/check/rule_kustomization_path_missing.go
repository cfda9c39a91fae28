package check

import (
	"strings"

	"archipel/internal/finding"
)

// kustomizationPathMissing documents what render finds.
func kustomizationPathMissing() Rule {
	return Rule{
		ID: "kustomization-path-missing", Group: Flux, Severity: finding.Error,
		Summary: "A Kustomization's path is no folder of its source.",
		Reason: "kustomize-controller stops at it, at every site that has it, and all that depends on it waits " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/#path).",
		Bad:  strings.Replace(whoamiWith("prune: true\n"), "whoami/app", "whoami/ap", 1),
		Good: whoamiWith("prune: true\n"),
	}
}
