package check

import (
	"archipel/internal/finding"
)

func networkLayerPruned() Rule {
	return Rule{
		ID: "network-layer-pruned", Group: Flux, Severity: finding.Error,
		Summary: "The Kustomization that holds Cilium prunes.",
		Reason: "When the HelmRelease leaves Git by a mistake, a move or a bad merge, Flux deletes it, helm-controller uninstalls Cilium, and the site has no network with which to take " +
			"the repair from Git (docs/decisions/0005; https://fluxcd.io/flux/components/kustomize/kustomizations/#prune).",
		Bad:  ciliumKustomization("prune: true\n"),
		Good: ciliumKustomization("prune: false\ndeletionPolicy: Orphan\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, r := range s.networkReleases() {
				if k := r.Object.Origin.Kustomization; k != nil && k.Object != nil && isTrue(k.Object.Object, "spec", "prune") {
					found = append(found, problem(s.At(k.Object, "spec", "prune"), "label the Kustomization archipel/layer: network, or set spec.prune to false",
						"%s prunes, and would uninstall %s when its file leaves Git", named(k.Object), r.ReleaseName))
				}
			}
			return found
		},
	}
}
