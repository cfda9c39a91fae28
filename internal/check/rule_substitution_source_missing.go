package check

import (
	"archipel/internal/finding"
)

// substitutionSourceMissing documents what render finds.
func substitutionSourceMissing() Rule {
	return Rule{
		ID: "substitution-source-missing", Group: Flux, Severity: finding.Error,
		Summary: "A ConfigMap that substituteFrom names does not exist.",
		Reason: "The Kustomization fails until it does, unless the entry is optional " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution).",
		Bad:  noDefaults("substituteFrom:\n  - kind: ConfigMap\n    name: sites\n"),
		Good: noDefaults("substituteFrom:\n  - kind: ConfigMap\n    name: site\n"),
	}
}
