package check

import (
	"archipel/internal/finding"
)

// chartValuesInvalid documents what render finds.
func chartValuesInvalid() Rule {
	return Rule{
		ID: "chart-values-invalid", Group: Kubernetes, Severity: finding.Error,
		Summary: "The values of a HelmRelease do not fit the schema that the chart brings.",
		Reason:  "Helm refuses to install or upgrade (https://helm.sh/docs/topics/charts/#schema-files).",
		Bad:     ciliumWith("MTU: large\n"),
		Good:    ciliumWith("MTU: 1400\n"),
	}
}
