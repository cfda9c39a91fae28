package check

import (
	"archipel/internal/finding"
)

// resourceMissing documents what render finds.
func resourceMissing() Rule {
	return Rule{
		ID: "resource-missing", Group: Flux, Severity: finding.Error,
		Summary: "A kustomization.yaml names a file or folder that is not there, or that lies outside of the repository.",
		Reason: "kustomize takes what it does not find for a URL and tries to fetch it; Flux fails, and applies nothing of the folder. Files outside of the " +
			"repository and links are not in what Flux fetches (https://fluxcd.io/flux/components/kustomize/kustomizations/#path).",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/kustomization.yaml", "resources:\n  - namespace.yaml\n  - relaese.yaml\n"),
		Good: inWhoami(configMapExample),
	}
}
