package check

import (
	"archipel/internal/finding"
)

// postrendererFailed documents what render finds.
func postrendererFailed() Rule {
	return Rule{
		ID: "postrenderer-failed", Group: Flux, Severity: finding.Error,
		Summary: "A postRenderer of a HelmRelease fails.",
		Reason:  "helm-controller fails, and upgrades nothing; most often a patch has no target (https://fluxcd.io/flux/components/helm/helmreleases/#post-renderers).",
		Bad:     whoamiRelease(whoamiChartExample + postRendererExample("/spec/colours/0")),
		Good:    whoamiRelease(whoamiChartExample + postRendererExample("/spec/minReadySeconds")),
	}
}
