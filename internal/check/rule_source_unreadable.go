package check

import (
	"archipel/internal/finding"
)

// sourceUnreadable documents what render finds.
func sourceUnreadable() Rule {
	return Rule{
		ID: "source-unreadable", Group: Flux, Severity: finding.Error,
		Summary: "The artefact of an OCIRepository cannot be used: it is not there, or no archive that Flux would take.",
		Reason: "source-controller fails, and what is built from it stays as it was (https://fluxcd.io/flux/components/source/ocirepositories/). There is no " +
			"example: it would need a registry.",
	}
}
