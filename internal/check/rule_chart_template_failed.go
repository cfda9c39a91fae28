package check

import (
	"archipel/internal/finding"
)

// chartTemplateFailed documents what render finds.
func chartTemplateFailed() Rule {
	return Rule{
		ID: "chart-template-failed", Group: Flux, Severity: finding.Error,
		Summary: "A template of a chart fails with the values of a HelmRelease.",
		Reason:  "helm-controller fails, and upgrades nothing; what ran before stays (https://helm.sh/docs/chart_template_guide/).",
		Bad:     overlay("kubernetes/flux/apps/whoami/chart/templates/example.yaml", "{{ fail \"colour must be set\" }}\n"),
		Good:    overlay("kubernetes/flux/apps/whoami/chart/templates/example.yaml", "{{ if false }}{{ fail \"colour must be set\" }}{{ end }}\n"),
	}
}
