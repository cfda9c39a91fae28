package check

import (
	"strings"

	"archipel/internal/finding"
	"archipel/internal/schema"
)

func objectValueInvalid() Rule {
	return Rule{
		ID: "object-value-invalid", Group: Kubernetes, Severity: finding.Error,
		Summary: "A field of an object has a value that it may not have: a name, label, quantity, port, or one that is not in a list.",
		Reason: "The API server refuses the object, and Flux everything in the same Kustomization " +
			"(https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and .../labels/#syntax-and-character-set).",
		Bad:  inWhoami(strings.Replace(configMapExample, "name: example", "name: Example_1", 1)),
		Good: inWhoami(configMapExample),
		Site: refused(schema.InvalidValue),
	}
}
