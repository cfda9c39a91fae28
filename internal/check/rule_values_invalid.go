package check

import (
	"archipel/internal/finding"
)

// valuesInvalid documents what render finds.
func valuesInvalid() Rule {
	return Rule{
		ID: "values-invalid", Group: Flux, Severity: finding.Error,
		Summary: "What valuesFrom gives is no YAML, or cannot be set at its targetPath.",
		Reason:  "helm-controller fails (https://fluxcd.io/flux/components/helm/helmreleases/#values-references).",
		Bad:     whoamiRelease(whoamiChartExample + "interval: 1h\nvaluesFrom:\n  - kind: ConfigMap\n    name: site\n    valuesKey: cluster_id\n"),
		Good:    whoamiRelease(whoamiChartExample + "interval: 1h\nvaluesFrom:\n  - kind: ConfigMap\n    name: site\n    valuesKey: cluster_id\n    targetPath: replicas\n"),
	}
}
