package status

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// graph holds what was read of one site and knows which object waits for which.
type graph struct {
	objects map[Ref]*unstructured.Unstructured
	states  map[Ref]Object  // of every object; nodes too
	listed  map[string]bool // kinds of which all objects are known
}

func newGraph() *graph {
	return &graph{objects: map[Ref]*unstructured.Unstructured{}, states: map[Ref]Object{}, listed: map[string]bool{}}
}

func (g *graph) add(u *unstructured.Unstructured, o Object) {
	g.objects[o.Ref] = u
	g.states[o.Ref] = o
}

func (g *graph) any(matches func(Ref) bool) bool {
	for ref := range g.objects {
		if matches(ref) {
			return true
		}
	}
	return false
}

// missing tells an object that does not exist from one of a kind that archipel
// does not read.
func (g *graph) missing(ref Ref) bool {
	_, exists := g.objects[ref]
	return !exists && g.listed[ref.Kind]
}

// holdsBack tells whether what waits for ref has to wait.
func (g *graph) holdsBack(ref Ref) bool {
	o, ok := g.states[ref]
	return ok && o.State != Ready || g.missing(ref)
}

// blockers are the objects that ref waits for and that are not ready. An object
// without any is not ready by its own fault. Which relations matter depends on
// the reason that its controller gives: an object that failed by itself does
// not wait for what it would have needed next.
func (g *graph) blockers(ref Ref) []Ref {
	u, o := g.objects[ref], g.states[ref]
	if u == nil || o.State == Ready || o.State == Suspended {
		return nil
	}
	var wanted []Ref
	switch ref.Kind {
	case "Kustomization":
		wanted = g.kustomizationWants(u, o)
	case "HelmRelease":
		wanted = g.helmReleaseWants(u, o)
	case "HelmChart":
		wanted = []Ref{sourceRef(u, "spec", "sourceRef")}
	case "Deployment", "StatefulSet", "DaemonSet":
		wanted = g.workloadWants(ref)
	case "Node":
		wanted = g.nodeWants(o)
	}
	var found []Ref
	for _, want := range wanted {
		if want != ref && want.Name != "" && g.holdsBack(want) && !slices.Contains(found, want) {
			found = append(found, want)
		}
	}
	return found
}

func (g *graph) kustomizationWants(u *unstructured.Unstructured, o Object) []Ref {
	source := sourceRef(u, "spec", "sourceRef")
	switch o.Reason {
	case "DependencyNotReady":
		return dependsOn(u)
	case "ArtifactFailed":
		return []Ref{source}
	case reasonNotReconciled, reasonNotObserved:
		return append(dependsOn(u), source)
	case "Progressing", "ProgressingWithRetry", "HealthCheckFailed", "HealthCheckCanceled":
		return healthChecks(u)
	}
	return nil
}

func (g *graph) helmReleaseWants(u *unstructured.Unstructured, o Object) []Ref {
	switch o.Reason {
	case "DependencyNotReady":
		return dependsOn(u)
	case "SourceNotReady", "ArtifactFailed":
		return g.chartSources(u)
	case reasonNotReconciled, reasonNotObserved:
		return append(dependsOn(u), g.chartSources(u)...)
	}
	// While a Helm action runs, and after it ran out of time, it is the
	// release's own workloads that are awaited.
	if o.State == Failed && !ranOutOfTime(o.Message) {
		return nil
	}
	var own []Ref
	for ref, w := range g.objects {
		labels := w.GetLabels()
		if isWorkload(ref.Kind) && labels[helmName] == o.Name && labels[helmNamespace] == o.Namespace {
			own = append(own, ref)
		}
	}
	slices.SortFunc(own, compareRefs)
	return own
}

// ranOutOfTime tells a Helm action that waited in vain: by Go's context, by
// Helm's own waiter, or by the one that helm-controller shares with
// kustomize-controller.
func ranOutOfTime(message string) bool {
	for _, sign := range []string{"context deadline exceeded", "timed out waiting", "timeout waiting for", "failed early due to stalled resources", "resource not ready"} {
		if strings.Contains(message, sign) {
			return true
		}
	}
	return false
}

// workloadWants: a DaemonSet waits for each node, any other workload for one
// node that is ready.
func (g *graph) workloadWants(ref Ref) []Ref {
	var bad []Ref
	ready := 0
	for node, o := range g.states {
		if node.Kind != "Node" {
			continue
		}
		switch {
		case o.State == Ready:
			ready++
		case !waitsForNetwork(o):
			bad = append(bad, node)
		}
	}
	if ref.Kind != "DaemonSet" && ready > 0 {
		return nil
	}
	slices.SortFunc(bad, compareRefs)
	return bad
}

// nodeWants: a node without a pod network waits for Cilium, which brings it.
func (g *graph) nodeWants(o Object) []Ref {
	if !waitsForNetwork(o) {
		return nil
	}
	for ref, other := range g.states {
		if ref.Kind == "HelmRelease" && ref.Name == "cilium" && other.State != Ready {
			return []Ref{ref}
		}
	}
	return nil
}

// waitsForNetwork tells a kubelet that has no CNI plugin yet (the message of
// Kubernetes' node status for NetworkPluginNotReady).
func waitsForNetwork(node Object) bool {
	return node.Kind == "Node" && (strings.Contains(node.Message, "NetworkPluginNotReady") || strings.Contains(node.Message, "cni plugin not initialized"))
}

func isWorkload(kind string) bool {
	return kind == "Deployment" || kind == "DaemonSet" || kind == "StatefulSet"
}

func isSource(kind string) bool {
	switch kind {
	case "GitRepository", "OCIRepository", "HelmRepository", "HelmChart", "Bucket", "ExternalArtifact":
		return true
	}
	return false
}

// dependsOn lists spec.dependsOn, whose objects are of the same kind and, by
// default, namespace.
func dependsOn(u *unstructured.Unstructured) []Ref {
	list, _, _ := unstructured.NestedSlice(u.Object, "spec", "dependsOn")
	var refs []Ref
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			refs = append(refs, Ref{u.GetKind(), cmp.Or(text(m["namespace"]), u.GetNamespace()), text(m["name"])})
		}
	}
	return refs
}

// sourceRef reads a reference to a source at a path; the namespace defaults to
// the object's own.
func sourceRef(u *unstructured.Unstructured, path ...string) Ref {
	m, _, _ := unstructured.NestedMap(u.Object, path...)
	return Ref{text(m["kind"]), cmp.Or(text(m["namespace"]), u.GetNamespace()), text(m["name"])}
}

// chartSources are where a HelmRelease gets its chart: what chartRef names, or
// the HelmChart that helm-controller makes of spec.chart and, while that does
// not exist, the source behind it.
func (g *graph) chartSources(u *unstructured.Unstructured) []Ref {
	if ref := sourceRef(u, "spec", "chartRef"); ref.Name != "" {
		return []Ref{ref}
	}
	source := sourceRef(u, "spec", "chart", "spec", "sourceRef")
	chart := Ref{"HelmChart", source.Namespace, u.GetNamespace() + "-" + u.GetName()}
	if namespace, name, ok := strings.Cut(field(u, "status", "helmChart"), "/"); ok {
		chart.Namespace, chart.Name = namespace, name
	}
	if _, exists := g.objects[chart]; exists {
		return []Ref{chart}
	}
	return []Ref{source}
}

// healthChecks are the objects whose health a Kustomization awaits: all of its
// inventory with spec.wait, else those that spec.healthChecks names. An
// inventory entry is NAMESPACE_NAME_GROUP_KIND (fluxcd/cli-utils,
// object.ObjMetadata); a name holds no underscore but for RBAC, which has no
// health.
func healthChecks(u *unstructured.Unstructured) []Ref {
	var refs []Ref
	if wait, _, _ := unstructured.NestedBool(u.Object, "spec", "wait"); wait {
		entries, _, _ := unstructured.NestedSlice(u.Object, "status", "inventory", "entries")
		for _, item := range entries {
			m, _ := item.(map[string]any)
			if part := strings.Split(text(m["id"]), "_"); len(part) == 4 {
				refs = append(refs, Ref{part[3], part[0], part[1]})
			}
		}
		return refs
	}
	list, _, _ := unstructured.NestedSlice(u.Object, "spec", "healthChecks")
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			refs = append(refs, Ref{text(m["kind"]), cmp.Or(text(m["namespace"]), u.GetNamespace()), text(m["name"])})
		}
	}
	return refs
}

// chain is what one object waits for, directly or not.
type chain struct {
	distance map[Ref]int
	roots    []Ref // without blockers of their own
	cycle    bool  // there is none: it waits for itself
}

func (g *graph) follow(start Ref) chain {
	c := chain{distance: map[Ref]int{start: 0}}
	for queue := []Ref{start}; len(queue) > 0; queue = queue[1:] {
		ref := queue[0]
		next := g.blockers(ref)
		if len(next) == 0 {
			c.roots = append(c.roots, ref)
		}
		for _, n := range next {
			if _, seen := c.distance[n]; !seen {
				c.distance[n] = c.distance[ref] + 1
				queue = append(queue, n)
			}
		}
	}
	c.cycle = len(c.roots) == 0
	return c
}

// causes lists the roots of all that is not ready, the most telling first.
func (g *graph) causes(now time.Time) []Cause {
	type reach struct {
		Ref
		distance int
	}
	affected := map[Ref][]reach{}
	cycles := map[Ref]bool{}
	for ref, o := range g.states {
		if o.State == Ready || o.State == Suspended {
			continue
		}
		c := g.follow(ref)
		if c.cycle {
			root := g.cycleOf(ref)[0]
			cycles[root] = true
			c.roots = []Ref{root}
		}
		for _, root := range c.roots {
			if root == ref {
				affected[root] = append(affected[root], reach{})
				continue
			}
			affected[root] = append(affected[root], reach{ref, c.distance[root]})
		}
	}
	var all []Cause
	for root, reached := range affected {
		reached = slices.DeleteFunc(reached, func(r reach) bool { return r.Name == "" })
		slices.SortFunc(reached, func(a, b reach) int {
			return cmp.Or(cmp.Compare(a.distance, b.distance), compareRefs(a.Ref, b.Ref))
		})
		cause := g.describe(root, cycles[root])
		cause.Affects = []Ref{}
		for _, r := range reached {
			cause.Affects = append(cause.Affects, r.Ref)
		}
		if isSource(root.Kind) && cause.State == Failed {
			for _, user := range g.usersOf(root) {
				if !slices.Contains(cause.Affects, user) {
					cause.Affects = append(cause.Affects, user)
				}
			}
		}
		cause.Hint = hint(cause, now)
		all = append(all, cause)
	}
	sortCauses(all)
	return all
}

func (g *graph) describe(root Ref, cycle bool) Cause {
	if cycle {
		var names []string
		for _, ref := range g.cycleOf(root) {
			names = append(names, ref.String())
		}
		names = append(names, names[0])
		return Cause{Object: root, State: Failed, Reason: "DependencyCycle", Message: oneLine("waits for itself: " + strings.Join(names, " -> "))}
	}
	if g.missing(root) {
		return Cause{Object: root, State: Failed, Reason: reasonNotFound, Message: "does not exist"}
	}
	o := g.states[root]
	return Cause{Object: root, State: o.State, Reason: o.Reason, Message: o.Message, Since: o.Since}
}

// cycleOf walks from ref until an object comes again and returns that circle,
// beginning with its smallest object.
func (g *graph) cycleOf(ref Ref) []Ref {
	var path []Ref
	for !slices.Contains(path, ref) {
		path = append(path, ref)
		next := g.blockers(ref)
		if len(next) == 0 {
			return path
		}
		ref = slices.MinFunc(next, compareRefs)
	}
	path = path[slices.Index(path, ref):]
	first := slices.Index(path, slices.MinFunc(path, compareRefs))
	return append(slices.Clone(path[first:]), path[:first]...)
}

// usersOf lists what takes its content from a source. They may be ready, but no
// longer get what is new.
func (g *graph) usersOf(source Ref) []Ref {
	var users []Ref
	for ref, u := range g.objects {
		switch ref.Kind {
		case "Kustomization", "HelmChart":
			if sourceRef(u, "spec", "sourceRef") == source {
				users = append(users, ref)
			}
		case "HelmRelease":
			if slices.Contains(g.chartSources(u), source) {
				users = append(users, ref)
			}
		}
	}
	slices.SortFunc(users, compareRefs)
	return users
}

func sortCauses(all []Cause) {
	rank := func(c Cause) int {
		switch {
		case c.State != Failed && c.State != Suspended:
			return 2
		case c.Object.Kind != "Node":
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b Cause) int {
		return cmp.Or(
			cmp.Compare(rank(a), rank(b)),
			cmp.Compare(len(b.Affects), len(a.Affects)),
			compareRefs(a.Object, b.Object),
		)
	})
}
