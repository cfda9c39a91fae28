package check

import (
	"slices"
	"strconv"

	"archipel/internal/render"
)

// reconciled are the kinds that Flux's controllers work on at an interval.
func (s *Site) reconciled() []*render.Object {
	var found []*render.Object
	for _, o := range s.Render.Objects {
		switch group(o) {
		case kustomizeAPI, helmAPI, sourceAPI:
			found = append(found, o)
		}
	}
	return found
}

// dependency is one entry of a spec.dependsOn.
type dependency struct {
	index           string
	namespace, name string
	stated          bool // the namespace is written down
}

// dependencies returns what a Kustomization or HelmRelease waits for.
func dependencies(o *render.Object) []dependency {
	var all []dependency
	for i := range listAt(o.Object, "spec", "dependsOn") {
		at := strconv.Itoa(i)
		d := dependency{index: at, name: textAt(o.Object, "spec", "dependsOn", at, "name"), namespace: textAt(o.Object, "spec", "dependsOn", at, "namespace")}
		if d.stated = d.namespace != ""; !d.stated {
			d.namespace = o.GetNamespace()
		}
		all = append(all, d)
	}
	return all
}

// dependents returns the objects that may depend on others of their own kind.
func (s *Site) dependents() []*render.Object {
	return append(s.kinds(kustomizeAPI, "Kustomization"), s.kinds(helmAPI, "HelmRelease")...)
}

// node names a dependent.
func node(kind, namespace, name string) string { return kind + " " + reference(namespace, name) }

// waits says whether a Kustomization is ready only when what it applied is.
func waits(o *render.Object) bool {
	return isTrue(o.Object, "spec", "wait") || len(listAt(o.Object, "spec", "healthChecks")) > 0
}

// before returns the Kustomizations that are ready, or being applied, before k begins:
// its parents and, to any depth, what these and k depend on.
func (s *Site) before(k *render.Kustomization) map[*render.Kustomization]bool {
	named := map[string]*render.Kustomization{}
	for _, other := range s.Render.Kustomizations {
		named[reference(other.Namespace, other.Name)] = other
	}
	seen := map[*render.Kustomization]bool{}
	var walk func(*render.Kustomization)
	walk = func(at *render.Kustomization) {
		if at == nil || seen[at] {
			return
		}
		seen[at] = true
		walk(at.Parent)
		for _, name := range at.DependsOn {
			walk(named[name])
		}
	}
	walk(k)
	return seen
}

// incomplete says whether something of the site could not be built or rendered: what seems
// to be missing may be in it. The cause is a finding or a skip of its own.
func (s *Site) incomplete() bool {
	return slices.ContainsFunc(s.Render.Kustomizations, func(k *render.Kustomization) bool { return !k.Built }) ||
		slices.ContainsFunc(s.Render.Releases, func(r *render.Release) bool { return !r.Rendered })
}

// networkReleases returns the releases without which a site has no network.
func (s *Site) networkReleases() []*render.Release {
	var found []*render.Release
	for _, r := range s.Render.Releases {
		if r.Object != nil && r.Chart.Name == "cilium" {
			found = append(found, r)
		}
	}
	return found
}

// releasesOf returns the HelmReleases that a Kustomization applies.
func (s *Site) releasesOf(k *render.Kustomization) []*render.Release {
	var found []*render.Release
	for _, r := range s.Render.Releases {
		if r.Object != nil && r.Object.Origin.Kustomization == k {
			found = append(found, r)
		}
	}
	return found
}

// deletesOnDeletion says whether what a Kustomization applied goes when it is deleted.
func deletesOnDeletion(o *render.Object) bool {
	switch textAt(o.Object, "spec", "deletionPolicy") {
	case "Orphan":
		return false
	case "Delete", "WaitForTermination":
		return true
	}
	return isTrue(o.Object, "spec", "prune") // MirrorPrune, the default
}

// ciliumRelease is an example: the HelmRelease of Cilium with another spec.
func ciliumRelease(spec string) string {
	return overlay("kubernetes/flux/apps/cilium/app/release.yaml", `
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: cilium
  namespace: flux-system
  annotations:
    kustomize.toolkit.fluxcd.io/prune: disabled
spec:
  interval: 1h
  chart:
    spec:
      chart: cilium
      version: ${cilium_version}
      sourceRef:
        kind: HelmRepository
        name: cilium
`+indent(spec, 2))
}

// ciliumKustomization is an example: the Flux Kustomization of Cilium with another spec,
// without the label that base/defaults looks at.
func ciliumKustomization(spec string) string {
	return overlay("kubernetes/flux/apps/cilium/ks.yaml", `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: cilium
  namespace: flux-system
spec:
  path: ./kubernetes/flux/apps/cilium/app
  wait: true
  dependsOn:
    - name: secrets
`+indent(spec, 2))
}
