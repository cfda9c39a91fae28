package check

import (
	"strings"

	"archipel/internal/finding"
	"archipel/internal/schema"
)

func objectFieldUnknown() Rule {
	return Rule{
		ID: "object-field-unknown", Group: Kubernetes, Severity: finding.Error,
		Summary: "An object has a field that its schema does not know.",
		Reason: "Flux applies with server-side apply, which refuses an unknown field, and with it everything in the same Kustomization; Helm drops it in silence, and what was meant does not " +
			"happen (https://kubernetes.io/docs/reference/using-api/server-side-apply/). The schema is that of the site's Kubernetes minor, or of the definitions that the site installs.",
		Bad:  inWhoami(strings.Replace(podExample("registry.example.org/example:1.0.0"), "image:", "imag:", 1)),
		Good: inWhoami(podExample("registry.example.org/example:1.0.0")),
		Site: refused(schema.UnknownField),
	}
}
