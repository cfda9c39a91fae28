package check

import (
	"archipel/internal/finding"
)

// helmReleaseInvalid documents what render finds.
func helmReleaseInvalid() Rule {
	return Rule{
		ID: "helmrelease-invalid", Group: Flux, Severity: finding.Error,
		Summary: "A HelmRelease cannot be read: a field has the wrong type, or it has both or none of chart and chartRef.",
		Reason:  "helm-controller refuses it (https://fluxcd.io/flux/components/helm/helmreleases/#writing-a-helmrelease-spec).",
		Bad:     whoamiRelease("interval: 1h\n"),
		Good:    whoamiRelease(whoamiChartExample + "interval: 1h\n"),
	}
}
