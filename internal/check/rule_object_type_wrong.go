package check

import (
	"archipel/internal/finding"
	"archipel/internal/schema"
)

func objectTypeWrong() Rule {
	return Rule{
		ID: "object-type-wrong", Group: Kubernetes, Severity: finding.Error,
		Summary: "A field of an object has a value of the wrong type.",
		Reason: "The API server refuses the object, and Flux everything in the same Kustomization. The usual cause is text that YAML reads as a number or a truth value, or a substitution " +
			"that turns into one: Flux substitutes after kustomize has removed the quotes (https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution).",
		Bad:  inWhoami(configMapExample + "  number: 1\n"),
		Good: inWhoami(configMapExample + "  number: \"1\"\n"),
		Site: refused(schema.WrongType),
	}
}
