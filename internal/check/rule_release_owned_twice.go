package check

import (
	"archipel/internal/finding"
	"archipel/internal/render"
)

func releaseOwnedTwice() Rule {
	return Rule{
		ID: "release-owned-twice", Group: Flux, Severity: finding.Error,
		Summary: "Two Kustomizations apply the same HelmRelease.",
		Reason: "Each overwrites what the other wrote, at every interval, and when one of them prunes it, the chart is uninstalled under the other " +
			"(https://fluxcd.io/flux/faq/#how-do-i-resolve-merge-conflicts).",
		Bad:  secondWhoami,
		Good: whoamiWith("prune: true\n"),
		Site: func(s *Site) []finding.Finding {
			return duplicates(s, "let one Kustomization apply it", func(o *render.Object) bool { return group(o) == helmAPI && o.GetKind() == "HelmRelease" })
		},
	}
}

// secondWhoami is an example in which a second Kustomization applies the folder of the app whoami.
const secondWhoami = `-- kubernetes/flux/apps/whoami/ks.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: whoami
  namespace: flux-system
spec:
  path: ./kubernetes/flux/apps/whoami/app
  prune: true
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: again
  namespace: flux-system
spec:
  path: ./kubernetes/flux/apps/whoami/app
  prune: true
`

// duplicates returns a finding for each of some objects that more than one origin creates.
func duplicates(s *Site, fix string, of func(*render.Object) bool) []finding.Finding {
	first := map[render.ID]*render.Object{}
	var found []finding.Finding
	for _, o := range s.Render.Objects {
		if o.Origin.Hook || !of(o) {
			continue
		}
		id := render.ID{Group: group(o), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
		before := first[id]
		if before == nil {
			first[id] = o
			continue
		}
		if from, also := creator(before), creator(o); from != also {
			at := o
			if o.Origin.Release != nil { // a manifest is a better place than the release of a chart
				at = before
			}
			found = append(found, problem(s.At(at), fix, "%s is applied by %s and by %s", named(o), from, also))
		}
	}
	return found
}

// creator says who applies an object.
func creator(o *render.Object) string {
	if r := o.Origin.Release; r != nil {
		return "HelmRelease " + reference(r.Namespace, r.Name)
	}
	if k := o.Origin.Kustomization; k != nil {
		return "Kustomization " + reference(k.Namespace, k.Name)
	}
	return "the entry of the folder"
}
