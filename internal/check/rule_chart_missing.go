package check

import (
	"strings"

	"archipel/internal/finding"
)

// chartMissing documents what render finds.
func chartMissing() Rule {
	return Rule{
		ID: "chart-missing", Group: Flux, Severity: finding.Error,
		Summary: "The chart of a HelmRelease, or the version of it, is not in its source.",
		Reason:  "helm-controller waits for a chart that never comes (https://fluxcd.io/flux/components/source/helmcharts/#chart).",
		Bad:     whoamiRelease(strings.Replace(whoamiChartExample, "whoami/chart", "whoami/chrt", 1) + "interval: 1h\n"),
		Good:    whoamiRelease(whoamiChartExample + "interval: 1h\n"),
	}
}
