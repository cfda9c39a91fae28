package check

import (
	"strings"

	"archipel/internal/finding"
)

// kustomizationInvalid documents what render finds.
func kustomizationInvalid() Rule {
	return Rule{
		ID: "kustomization-invalid", Group: Flux, Severity: finding.Error,
		Summary: "A Flux Kustomization has a field of the wrong type, or Kustomizations nest without end.",
		Reason:  "Flux refuses it (https://fluxcd.io/flux/components/kustomize/kustomizations/#writing-a-kustomization-spec).",
		Bad:     strings.Replace(whoamiWith("prune: true\n"), "path: ./kubernetes/flux/apps/whoami/app", "path: [./kubernetes/flux/apps/whoami/app]", 1),
		Good:    whoamiWith("prune: true\n"),
	}
}
