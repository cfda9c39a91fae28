package check

import (
	"archipel/internal/finding"
)

// substitutionFailed documents what render finds.
func substitutionFailed() Rule {
	return Rule{
		ID: "substitution-failed", Group: Flux, Severity: finding.Error,
		Summary: "A substitution cannot be read, or what it leaves is no YAML.",
		Reason: "The Kustomization fails as a whole. A dollar sign before a brace that is meant as such is written twice: $${name} " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution).",
		Bad:  inWhoami(configMapExample + "  site: ${site_name\n"),
		Good: inWhoami(configMapExample + "  site: ${site_name}\n"),
	}
}
