package check

import (
	"archipel/internal/finding"
)

// variableUnresolved documents what render finds.
func variableUnresolved() Rule {
	return Rule{
		ID: "variable-unresolved", Group: Flux, Severity: finding.Error,
		Summary: "A manifest uses ${name}, and nothing gives it a value.",
		Reason: "In strict mode, which the tree asks of Flux, the Kustomization fails; otherwise the text is replaced by nothing, and an address or a name " +
			"silently becomes empty (https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution).",
		Bad:  inWhoami(configMapExample + "  site: ${site_nmae}\n"),
		Good: inWhoami(configMapExample + "  site: ${site_name}\n"),
	}
}
