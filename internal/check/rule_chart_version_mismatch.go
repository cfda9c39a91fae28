package check

import (
	"archipel/internal/finding"
)

// chartVersionMismatch documents what render finds.
func chartVersionMismatch() Rule {
	return Rule{
		ID: "chart-version-mismatch", Group: Flux, Severity: finding.Error,
		Summary: "The tag of an OCIRepository is another version than the chart in it.",
		Reason:  "helm-controller refuses a chart whose version differs from its tag (https://fluxcd.io/flux/components/helm/helmreleases/#chart-reference).",
		Bad:     artefactExample("1.0.1"),
		Good:    artefactExample("1.0.0"),
	}
}
