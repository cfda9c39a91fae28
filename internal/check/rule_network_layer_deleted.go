package check

import (
	"archipel/internal/finding"
)

func networkLayerDeleted() Rule {
	return Rule{
		ID: "network-layer-deleted", Group: Flux, Severity: finding.Error,
		Summary: "Deleting the Kustomization that holds Cilium deletes Cilium.",
		Reason: "The Kustomization is an object in Git too: when its ks.yaml leaves the site, its parent prunes it, and its finalizer deletes all that it applied unless deletionPolicy says " +
			"Orphan (https://fluxcd.io/flux/components/kustomize/kustomizations/#deletion-policy; docs/decisions/0005).",
		Bad:  ciliumKustomization("prune: false\ndeletionPolicy: Delete\n"),
		Good: ciliumKustomization("prune: false\ndeletionPolicy: Orphan\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, r := range s.networkReleases() {
				if k := r.Object.Origin.Kustomization; k != nil && k.Object != nil && deletesOnDeletion(k.Object) {
					found = append(found, problem(s.At(k.Object, "spec", "deletionPolicy"), "set spec.deletionPolicy to Orphan",
						"deleting %s would uninstall %s", named(k.Object), r.ReleaseName))
				}
			}
			return found
		},
	}
}
