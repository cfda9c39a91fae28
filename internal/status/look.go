package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kinds are read with one request each. Of Flux these are the source and
// kustomize APIs v1 and the helm API v2.
func kinds() []schema.GroupVersionKind {
	const source = "source.toolkit.fluxcd.io"
	return []schema.GroupVersionKind{
		{Version: "v1", Kind: "Node"},
		{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization"},
		{Group: "helm.toolkit.fluxcd.io", Version: "v2", Kind: "HelmRelease"},
		{Group: source, Version: "v1", Kind: "GitRepository"},
		{Group: source, Version: "v1", Kind: "OCIRepository"},
		{Group: source, Version: "v1", Kind: "HelmRepository"},
		{Group: source, Version: "v1", Kind: "HelmChart"},
		{Group: "apps", Version: "v1", Kind: "Deployment"},
		{Group: "apps", Version: "v1", Kind: "DaemonSet"},
		{Group: "apps", Version: "v1", Kind: "StatefulSet"},
	}
}

func isFlux(kind schema.GroupVersionKind) bool {
	return strings.HasSuffix(kind.Group, ".fluxcd.io")
}

// look reads one site and judges what it read.
func look(ctx context.Context, target Target, o Options) Site {
	cluster, err := target.Open(ctx)
	if err != nil {
		return unreachable(target, reason(ctx, err, o))
	}

	asked := kinds()
	answers := make([][]unstructured.Unstructured, len(asked))
	failures := make([]error, len(asked))
	var version string
	var versionErr error
	var all sync.WaitGroup
	for i, kind := range asked {
		all.Go(func() { answers[i], failures[i] = cluster.List(ctx, kind, "", "") })
	}
	all.Go(func() { version, versionErr = cluster.Version(ctx) })
	all.Wait()

	answered := versionErr == nil
	for _, err := range failures {
		answered = answered || isAnswer(err)
	}
	if !answered {
		return unreachable(target, reason(ctx, versionErr, o))
	}

	site := Site{Name: target.Name, Reachable: true, KubernetesVersion: oneLine(version)}
	if versionErr != nil {
		site.Notes = append(site.Notes, oneLine("version not read: "+reason(ctx, versionErr, o)))
	}
	g := newGraph()
	var absent []schema.GroupVersionKind
	for i, kind := range asked {
		switch err := failures[i]; {
		case err == nil:
			g.listed[kind.Kind] = true
			for j := range answers[i] {
				site.add(g, kind.Kind, &answers[i][j], o.Now())
			}
		case isFlux(kind) && apierrors.IsNotFound(err):
			absent = append(absent, kind)
		case apierrors.IsForbidden(err):
			site.Notes = append(site.Notes, kind.Kind+"s not read: the credentials may not list them")
		default:
			site.Notes = append(site.Notes, oneLine(kind.Kind+"s not read: "+reason(ctx, err, o)))
		}
	}
	site.explainPods(ctx, cluster, g)
	found := g.causes(o.Now())
	for _, cause := range absences(g, absent) {
		// What an object refers to and misses is a cause already.
		if !slices.ContainsFunc(found, func(c Cause) bool { return c.Object == cause.Object }) {
			site.Causes = append(site.Causes, cause)
		}
	}
	site.Causes = append(site.Causes, found...)
	site = site.withEmptyLists()
	site.Revision = rootRevision(g)
	site.State = site.judge()
	site.sort()
	return site
}

// add files an object under its list and in the graph. Objects come without
// their kind when a server leaves it out of list items.
func (s *Site) add(g *graph, kind string, u *unstructured.Unstructured, now time.Time) {
	if u.GetKind() == "" {
		u.SetKind(kind)
	}
	switch {
	case kind == "Node":
		n := assessNode(u, now)
		s.Nodes = append(s.Nodes, n)
		g.add(u, Object{Ref: refOf(u), State: n.State, Reason: n.Reason, Message: n.Message, Since: n.Since})
	case isWorkload(kind):
		if isFluxManaged(u) {
			o := assessWorkload(u)
			s.Workloads = append(s.Workloads, o)
			g.add(u, o)
		}
	default:
		o := assessFlux(u, now)
		g.add(u, o)
		switch kind {
		case "Kustomization":
			s.Kustomizations = append(s.Kustomizations, o)
		case "HelmRelease":
			s.HelmReleases = append(s.HelmReleases, o)
		default:
			s.Sources = append(s.Sources, o)
		}
	}
}

// absences are causes for what should exist at every site and does not.
func absences(g *graph, absent []schema.GroupVersionKind) []Cause {
	var causes []Cause
	if g.listed["Node"] && !g.any(func(ref Ref) bool { return ref.Kind == "Node" }) {
		causes = append(causes, Cause{
			Object: Ref{Kind: "Node"}, State: Progressing, Reason: reasonNotFound,
			Message: "no node has joined the cluster yet", Affects: []Ref{},
		})
	}
	flux := slices.DeleteFunc(kinds(), func(k schema.GroupVersionKind) bool { return !isFlux(k) })
	if len(absent) == len(flux) {
		return append(causes, Cause{
			Object: Ref{Kind: "Namespace", Name: fluxNamespace}, State: Failed, Reason: "FluxNotInstalled",
			Message: "Flux is not installed: the API server knows none of its kinds", Affects: []Ref{},
		})
	}
	for _, kind := range absent {
		causes = append(causes, Cause{
			Object: Ref{Kind: "CustomResourceDefinition", Name: strings.ToLower(plural(kind.Kind)) + "." + kind.Group},
			State:  Failed, Reason: reasonNotFound, Affects: []Ref{},
			Message: fmt.Sprintf("Flux is incomplete: the API server does not know %s of %s", kind.Kind, kind.GroupVersion()),
		})
	}
	for _, want := range []string{"GitRepository", "Kustomization"} {
		found := g.any(func(ref Ref) bool {
			// A site may sync from an OCI artefact instead.
			return ref.Kind == want || want == "GitRepository" && ref.Kind == "OCIRepository" && ref.Name == fluxNamespace
		})
		if !found && g.listed[want] {
			causes = append(causes, Cause{
				Object: Ref{Kind: want, Namespace: fluxNamespace, Name: fluxNamespace}, State: Failed, Reason: reasonNotFound,
				Message: "does not exist: Flux runs, but nothing tells it what to sync", Affects: []Ref{},
			})
		}
	}
	return causes
}

func plural(kind string) string {
	if stem, ok := strings.CutSuffix(kind, "y"); ok {
		return stem + "ies"
	}
	return kind + "s"
}

// rootRevision is the revision of the source that the site syncs from.
func rootRevision(g *graph) string {
	for _, kind := range []string{"GitRepository", "OCIRepository"} {
		if o, ok := g.states[Ref{kind, fluxNamespace, fluxNamespace}]; ok {
			return o.Revision
		}
	}
	return ""
}

// judge sums a site up. What could not be read cannot be called ready.
func (s *Site) judge() State {
	state := Ready
	if len(s.Notes) > 0 {
		state = Unknown
	}
	for _, cause := range s.Causes {
		if cause.State == Failed || cause.State == Suspended {
			return Failed
		}
		state = Progressing
	}
	return state
}

func (s *Site) sort() {
	slices.SortFunc(s.Nodes, func(a, b Node) int {
		// Servers before agents.
		return cmp.Or(-cmp.Compare(a.Role, b.Role), cmp.Compare(a.Name, b.Name))
	})
	sortObjects(s.Kustomizations)
	sortObjects(s.HelmReleases)
	sortObjects(s.Sources)
	sortObjects(s.Workloads)
}

// isAnswer tells whether an API server answered at all, be it with a refusal.
func isAnswer(err error) bool {
	var status apierrors.APIStatus
	return err == nil || errors.As(err, &status) && !apierrors.IsUnauthorized(err)
}

func reason(ctx context.Context, err error, o Options) string {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return noAnswer(ctx, o)
	}
	return oneLine(err.Error())
}
