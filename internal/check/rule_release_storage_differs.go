package check

import (
	"archipel/internal/finding"
)

func releaseStorageDiffers() Rule {
	return Rule{
		ID: "release-storage-differs", Group: Flux, Severity: finding.Warning,
		Summary: "A HelmRelease keeps its history in another namespace than it installs to.",
		Reason: "storageNamespace is by default that of the HelmRelease, not of the target. helm list -n TARGET then shows nothing, and a release that was installed by hand is not adopted " +
			"(https://fluxcd.io/flux/components/helm/helmreleases/#storage-namespace).",
		Bad: whoamiRelease(`
interval: 1h
targetNamespace: whoami
chart:
  spec:
    chart: ./kubernetes/flux/apps/whoami/chart
    sourceRef:
      kind: GitRepository
      name: flux-system
`),
		Good: whoamiRelease(whoamiChartExample + "interval: 1h\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, r := range s.Render.Releases {
				if r.Object != nil && r.TargetNamespace != r.StorageNamespace && r.Chart.Name != "cilium" { // network-layer-release-differs says more
					found = append(found, problem(s.At(r.Object, "spec", "targetNamespace"), "set spec.storageNamespace to "+r.TargetNamespace,
						"%s installs to %s, but keeps its history in %s", named(r.Object), r.TargetNamespace, r.StorageNamespace))
				}
			}
			return found
		},
	}
}
