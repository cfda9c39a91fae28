package check

import (
	"archipel/internal/finding"
)

func networkLayerPrunable() Rule {
	return Rule{
		ID: "network-layer-prunable", Group: Flux, Severity: finding.Error,
		Summary: "The HelmRelease of Cilium does not carry the annotation that keeps Flux from pruning it.",
		Reason: "The annotation stands with the object itself, so it holds when another Kustomization takes the file over, or somebody sets prune to true " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources; docs/decisions/0005).",
		Bad: overlay("kubernetes/flux/apps/cilium/app/release.yaml", `
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: cilium
  namespace: flux-system
spec:
  interval: 1h
  chart:
    spec:
      chart: cilium
      version: ${cilium_version}
      sourceRef:
        kind: HelmRepository
        name: cilium
`),
		Good: ciliumRelease("timeout: 20m\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, r := range s.networkReleases() {
				if r.Object.GetAnnotations()["kustomize.toolkit.fluxcd.io/prune"] != "disabled" {
					found = append(found, problem(s.At(r.Object, "metadata"), "add the annotation kustomize.toolkit.fluxcd.io/prune: disabled",
						"Flux may prune %s", named(r.Object)))
				}
			}
			return found
		},
	}
}
