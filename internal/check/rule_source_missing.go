package check

import (
	"strings"

	"archipel/internal/finding"
)

// sourceMissing documents what render finds.
func sourceMissing() Rule {
	return Rule{
		ID: "source-missing", Group: Flux, Severity: finding.Error,
		Summary: "A Kustomization or HelmRelease refers to a source that the site does not have.",
		Reason: "Flux waits for it for ever. A source is looked for in the namespace of what refers to it, unless that says another " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/#source-reference).",
		Bad:  whoamiRelease(strings.Replace(whoamiChartExample, "name: flux-system", "name: flux", 1) + "interval: 1h\n"),
		Good: whoamiRelease(whoamiChartExample + "interval: 1h\n"),
	}
}
