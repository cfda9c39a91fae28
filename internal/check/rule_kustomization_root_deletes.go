package check

import (
	"archipel/internal/finding"
)

func kustomizationRootDeletes() Rule {
	return Rule{
		ID: "kustomization-root-deletes", Group: Flux, Severity: finding.Error,
		Summary: "Deleting a site's root Kustomization deletes everything that the site runs.",
		Reason: "`flux uninstall`, a bootstrap gone wrong or one kubectl delete removes the root Kustomization; without deletionPolicy Orphan its finalizer deletes all Kustomizations below it, " +
			"and they what they applied (https://fluxcd.io/flux/components/kustomize/kustomizations/#deletion-policy).",
		Bad:  overlay("kubernetes/flux/base/flux-system/sync.yaml", rootExample),
		Good: overlay("kubernetes/flux/base/flux-system/sync.yaml", rootExample+"  deletionPolicy: Orphan\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, k := range s.Render.Kustomizations {
				// The root applies itself, or nothing applies it.
				if k.Object != nil && (k.Parent == nil || k.Parent == k) && deletesOnDeletion(k.Object) {
					found = append(found, problem(s.At(k.Object, "spec", "deletionPolicy"), "set spec.deletionPolicy to Orphan",
						"deleting %s would delete all that the site runs", named(k.Object)))
				}
			}
			return found
		},
	}
}

// rootExample is what a site syncs, up to the last field of the root Kustomization.
const rootExample = `
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata:
  name: flux-system
  namespace: flux-system
spec:
  interval: 1m
  url: ${git_url}
  ref:
    branch: ${git_branch}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: flux-system
  namespace: flux-system
spec:
  path: ./kubernetes/flux/clusters/${site_name}
  prune: true
`
