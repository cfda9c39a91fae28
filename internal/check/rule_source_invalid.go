package check

import (
	"strings"

	"archipel/internal/finding"
)

// sourceInvalid documents what render finds.
func sourceInvalid() Rule {
	return Rule{
		ID: "source-invalid", Group: Flux, Severity: finding.Error,
		Summary: "A source lacks its URL, or has a field of the wrong type.",
		Reason:  "source-controller refuses it, and whatever takes something from it waits (https://fluxcd.io/flux/components/source/).",
		Bad:     inWhoami(strings.Replace(repositoryExample("https://charts.example.org"), "  url: https://charts.example.org\n", "", 1) + "---" + chartsRelease),
		Good:    inWhoami(repositoryExample("https://charts.example.org") + "---" + chartsRelease),
	}
}
