package check

import (
	"archipel/internal/finding"
)

// kustomizeBuildFailed documents what render finds.
func kustomizeBuildFailed() Rule {
	return Rule{
		ID: "kustomize-build-failed", Group: Flux, Severity: finding.Error,
		Summary: "kustomize cannot build the folder of a Kustomization.",
		Reason: "Nothing of the folder is applied, at every site that has it. A patch without a target, and two objects of one name, are the usual causes " +
			"(https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/).",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/kustomization.yaml", patchExample),
		Good: inWhoami(configMapExample),
	}
}
