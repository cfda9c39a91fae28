package diff

import (
	"fmt"

	"archipel/internal/render"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// fluxGroup is the API group of Flux Kustomizations, and the prefix of what an
// object says to kustomize-controller.
const fluxGroup = "kustomize.toolkit.fluxcd.io"

// fate is what becomes of an object that the repository no longer has.
type fate struct {
	deleted bool
	why     string
	unknown string // the owner that was not rendered, so that nobody can say
}

// fate follows the owners of an object until one is found that is still there,
// as kustomize-controller (prune and finalize) and helm-controller (upgrade and
// reconcileDelete) do.
func (c *comparer) fate(o *render.Object, depth int) fate {
	if depth > maxDepth {
		return fate{why: "its owners own one another: none of them deletes it"}
	}
	if r := o.Origin.Release; r != nil {
		return c.releaseFate(o, r, depth)
	}
	k := o.Origin.Kustomization
	if k == nil {
		return fate{why: "nothing in the repository says who would delete it"}
	}
	name := "Kustomization " + k.Name
	if now, ok := c.after.kustomizations[k.Namespace+"/"+k.Name]; ok {
		switch {
		case !now.Built:
			return fate{unknown: name}
		case protected(o):
			return fate{why: "its annotations keep it from being pruned"}
		case now.Object == nil || !isTrue(now.Object, "spec", "prune"):
			return fate{why: "prune is off in " + name}
		}
		return fate{deleted: true, why: name + " prunes it"}
	}
	if k.Object == nil || k.Object.Origin.Kustomization == k {
		return fate{why: "the site's root is gone from the repository, and nothing deletes what it applied"}
	}
	up := c.fate(k.Object, depth+1)
	policy, _, _ := unstructured.NestedString(k.Object.Object, "spec", "deletionPolicy")
	switch {
	case up.unknown != "":
		return up
	case !up.deleted:
		return fate{why: name + " itself stays in the cluster: " + up.why}
	case isTrue(k.Object, "spec", "suspend"):
		return fate{why: name + " is deleted while suspended, which deletes nothing else"}
	case protected(o):
		return fate{why: "its annotations keep it from being pruned"}
	case policy == "Orphan":
		return fate{why: name + " is deleted, and its deletionPolicy is Orphan"}
	case policy != "Delete" && policy != "WaitForTermination" && !isTrue(k.Object, "spec", "prune"):
		return fate{why: name + " is deleted, and its prune is off"}
	}
	return fate{deleted: true, why: name + " is deleted, and what it applied with it"}
}

func (c *comparer) releaseFate(o *render.Object, r *render.Release, depth int) fate {
	name := "HelmRelease " + r.Name
	kept := ""
	switch {
	case o.Origin.CRD:
		kept = "Helm never deletes what stands in a chart's crds/ folder"
	case o.GetAnnotations()["helm.sh/resource-policy"] == "keep":
		kept = "its annotation helm.sh/resource-policy keeps it"
	}
	if now, ok := c.after.releases[r.Namespace+"/"+r.Name]; ok {
		switch {
		case !now.Rendered:
			return fate{unknown: name}
		case kept != "":
			return fate{why: kept}
		}
		return fate{deleted: true, why: name + " no longer has it, so Helm deletes it"}
	}
	if r.Object == nil {
		return fate{why: "nothing in the repository says who would uninstall " + name}
	}
	up := c.fate(r.Object, depth+1)
	switch {
	case up.unknown != "":
		return up
	case !up.deleted:
		return fate{why: name + " itself stays in the cluster: " + up.why}
	case isTrue(r.Object, "spec", "suspend"):
		return fate{why: name + " is deleted while suspended, which does not uninstall it"}
	case kept != "":
		return fate{why: kept}
	}
	return fate{deleted: true, why: name + " is uninstalled"}
}

// protected reports whether an object tells kustomize-controller never to delete it.
func protected(o *render.Object) bool {
	for _, said := range []map[string]string{o.GetAnnotations(), o.GetLabels()} {
		if said[fluxGroup+"/prune"] == "disabled" || said[fluxGroup+"/reconcile"] == "disabled" || said[fluxGroup+"/ssa"] == "Ignore" {
			return true
		}
	}
	return false
}

// isTrue reads a field that is true or not.
func isTrue(o *render.Object, path ...string) bool {
	v, _, _ := unstructured.NestedBool(o.Object, path...)
	return v
}

// notRendered returns the nearest owner of an object that a side has and did
// not render: whether that side has the object cannot be known.
func notRendered(s side, o *render.Object) string {
	for depth := 0; o != nil && depth <= maxDepth; depth++ {
		if r := o.Origin.Release; r != nil {
			if there, ok := s.releases[r.Namespace+"/"+r.Name]; ok {
				if !there.Rendered {
					return "HelmRelease " + r.Name
				}
				return ""
			}
			o = r.Object
			continue
		}
		k := o.Origin.Kustomization
		if k == nil {
			return ""
		}
		if there, ok := s.kustomizations[k.Namespace+"/"+k.Name]; ok {
			if !there.Built {
				return "Kustomization " + k.Name
			}
			return ""
		}
		o = k.Object
	}
	return ""
}

// moveDangers says when the former owner of an object deletes it although
// another has taken it over.
func (c *comparer) moveDangers(before *render.Object) []string {
	f := c.fate(before, 0)
	switch {
	case !f.deleted:
		return nil
	case before.Origin.Release != nil:
		return []string{fmt.Sprintf("%s deletes it when it is upgraded or uninstalled, even after another has taken it over", owner(before))}
	}
	return []string{fmt.Sprintf("%s prunes it when it runs before the new owner has taken it over: it is then deleted and created again", owner(before))}
}
