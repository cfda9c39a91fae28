package check

import (
	"archipel/internal/finding"
)

// valuesSourceMissing documents what render finds.
func valuesSourceMissing() Rule {
	return Rule{
		ID: "values-source-missing", Group: Flux, Severity: finding.Error,
		Summary: "A ConfigMap or a key that valuesFrom names does not exist.",
		Reason:  "helm-controller fails until it does, unless the entry is optional (https://fluxcd.io/flux/components/helm/helmreleases/#values-references).",
		Bad:     whoamiRelease(whoamiChartExample + "interval: 1h\nvaluesFrom:\n  - kind: ConfigMap\n    name: peers\n"),
		Good:    whoamiRelease(whoamiChartExample + "interval: 1h\nvaluesFrom:\n  - kind: ConfigMap\n    name: mesh-peers\n"),
	}
}
