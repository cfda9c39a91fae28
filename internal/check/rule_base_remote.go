package check

import (
	"archipel/internal/finding"
)

// baseRemote documents what render finds.
func baseRemote() Rule {
	return Rule{
		ID: "base-remote", Group: Flux, Severity: finding.Error,
		Summary: "A kustomization.yaml refers to a URL.",
		Reason: "What a site runs then depends on another server at the moment of the build, with nothing in Git that says what it was; offline it cannot be " +
			"known at all. Use a source of Flux, which is pinned and verified " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/#source-reference).",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/kustomization.yaml", "resources:\n  - namespace.yaml\n  - https://example.org/manifests.yaml\n"),
		Good: inWhoami(configMapExample),
	}
}
