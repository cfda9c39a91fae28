package check

import (
	"archipel/internal/finding"
)

// chartUnreadable documents what render finds.
func chartUnreadable() Rule {
	return Rule{
		ID: "chart-unreadable", Group: Flux, Severity: finding.Error,
		Summary: "The chart of a HelmRelease is no chart that Helm can load.",
		Reason:  "helm-controller fails at every try (https://helm.sh/docs/topics/charts/).",
		Bad:     overlay("kubernetes/flux/apps/whoami/chart/Chart.yaml", "apiVersion: v2\nname: whoami\n"),
		Good:    whoamiRelease(whoamiChartExample + "interval: 1h\n"),
	}
}
