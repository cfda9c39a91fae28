package render

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/fleet"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Bounds on one site. Flux has none; a site that meets them is a mistake or an attack.
const (
	maxKustomizations = 2_000
	maxReleases       = 2_000
	maxObjects        = 100_000
)

// The API groups of Flux.
const (
	kustomizeGroup = "kustomize.toolkit.fluxcd.io"
	sourceGroup    = "source.toolkit.fluxcd.io"
	helmGroup      = "helm.toolkit.fluxcd.io"
)

// The name and namespace of the source and of the Kustomization that flux bootstrap makes.
const fluxSystem = "flux-system"

// walk is one rendering under way: it follows what Flux would apply, object by object,
// until nothing new comes.
type walk struct {
	r          *Renderer
	result     *Result
	entry      string // folder of the repository
	kubernetes string
	site       *fleet.Site // nil for a folder that is no site

	latest      map[ID]*Object // without the API version; the last one of an ID wins, as in a cluster
	definitions map[ID]definition
	sources     map[objectRef]*Source
	nodes       map[[2]string]*node // by namespace and name
	waiting     []*node
	releases    []*Object // HelmReleases that wait
	released    map[[2]string]bool
	before      map[ID]map[string]any // what the root takes its variables from: its own objects, as they were before it
}

// node is a Kustomization with what its object says.
type node struct {
	*Kustomization
	spec spec
	// lacksSecret says that a Secret that gives variables is not in the repository, so that
	// a variable without a value may well have one.
	lacksSecret bool
}

// render follows everything from the folder entry of the repository.
func (r *Renderer) render(ctx context.Context, entry string, site *fleet.Site, kubernetes string) (*Result, error) {
	w := &walk{
		r: r, result: &Result{}, entry: entry, kubernetes: kubernetes, site: site,
		latest: map[ID]*Object{}, definitions: map[ID]definition{}, sources: map[objectRef]*Source{},
		nodes: map[[2]string]*node{}, released: map[[2]string]bool{}, before: map[ID]map[string]any{},
	}
	if site != nil {
		w.result.Site = site.Name
	}
	if err := w.begin(); err != nil {
		return nil, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if n := w.next(); n != nil {
			if err := w.build(ctx, n); err != nil {
				return nil, err
			}
			continue
		}
		if len(w.releases) == 0 {
			break
		}
		release := w.releases[0]
		w.releases = w.releases[1:]
		w.release(ctx, release)
	}
	w.finish()
	return w.result, ctx.Err()
}

// next takes a Kustomization that waits. One whose variables and source are there
// goes first; what is missing may come from any other. Releases go before one that
// lacks something it cannot do without, as a chart may bring it.
func (w *walk) next() *node {
	for _, patience := range []func(*node) bool{
		func(n *node) bool { return w.hasSource(n) && w.hasVariables(n, true) },
		func(n *node) bool { return w.hasSource(n) && w.hasVariables(n, false) },
		func(*node) bool { return len(w.releases) == 0 },
	} {
		if i := slices.IndexFunc(w.waiting, patience); i >= 0 {
			n := w.waiting[i]
			w.waiting = slices.Delete(w.waiting, i, i+1)
			return n
		}
	}
	return nil
}

// begin finds the Kustomization whose folder the entry is, among the objects that the
// entry itself declares: flux bootstrap has it that way.
func (w *walk) begin() error {
	t, err := w.r.archive("")
	if err != nil {
		return err
	}
	first, problem := w.r.buildOf(t, w.entry, spec{}, nil)
	if _, ok := t.folders[w.entry]; !ok {
		w.add(finding.Finding{
			Rule: "kustomization-path-missing", Severity: finding.Error, Position: finding.Position{File: w.entry},
			Message: "there is no folder " + w.entry + " for Flux to begin with", Fix: "add it, with a kustomization.yaml that lists what runs there",
		})
		return nil
	}
	if problem != nil {
		w.add(*problem)
		return nil
	}
	var objects []*unstructured.Unstructured
	for _, o := range first.objects {
		object, err := o.parsed()
		if err != nil {
			continue // found again when the root is built
		}
		objects = append(objects, object)
		w.before[idOf(object)] = object.Object
	}
	for i, object := range objects {
		if group(object) != kustomizeGroup || object.GetKind() != "Kustomization" {
			continue
		}
		n, ok := w.rootOf(object, first.objects[i])
		if !ok || inside(n.spec.Path) != w.entry {
			continue
		}
		w.declareRootSource(n, first.objects, objects)
		w.nodes[[2]string{n.Namespace, n.Name}] = n
		w.waiting = append(w.waiting, n)
		return nil
	}
	// No root is declared: the bootstrap makes it. A plain folder is applied by nobody.
	if w.site != nil {
		n := &node{Kustomization: &Kustomization{Namespace: fluxSystem, Name: fluxSystem, Path: w.entry}}
		n.spec = spec{Path: w.entry, SourceRef: objectRef{Kind: "GitRepository", Name: fluxSystem}}
		w.nodes[[2]string{n.Namespace, n.Name}] = n
		w.waiting = append(w.waiting, n)
		return nil
	}
	w.apply(first, nil, t)
	return nil
}

// rootOf reads a Flux Kustomization of the entry with its own variables put in, as the
// one that applies itself has been applied before.
func (w *walk) rootOf(object *unstructured.Unstructured, written *builtObject) (*node, bool) {
	s, err := specOf(object)
	if err != nil {
		return nil, false
	}
	n := &node{Kustomization: &Kustomization{Namespace: cmp.Or(object.GetNamespace(), fluxSystem), Name: object.GetName()}, spec: s}
	variables, _ := w.variables(n, true)
	if s.PostBuild != nil && written.YAML != "" {
		if own := expand(written, variables); own != nil {
			if s, err = specOf(own); err != nil {
				return nil, false
			}
			n.spec = s
		}
	}
	return n, true
}

// expand puts variables into an object; nil when that fails.
func expand(written *builtObject, variables map[string]variable) *unstructured.Unstructured {
	put, err := substitute(written.YAML, variables)
	if err != nil {
		return nil
	}
	object, err := decodeYAML(put.text)
	if err != nil {
		return nil
	}
	return &unstructured.Unstructured{Object: object}
}

// declareRootSource records the source of the root, which is this repository whatever
// its URL: the entry was found in it.
func (w *walk) declareRootSource(n *node, written []*builtObject, objects []*unstructured.Unstructured) {
	ref := n.sourceRef()
	s := &Source{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name, Local: true}
	w.sources[ref] = s
	variables, _ := w.variables(n, true)
	for i, object := range objects {
		if group(object) != sourceGroup || object.GetKind() != ref.Kind || object.GetName() != ref.Name || cmp.Or(object.GetNamespace(), n.Namespace) != ref.Namespace {
			continue
		}
		if n.spec.PostBuild != nil && written[i].YAML != "" {
			if own := expand(written[i], variables); own != nil {
				object = own
			}
		}
		s.Object = &Object{Unstructured: object} // replaced by the one that is applied
		s.URL, _, _ = unstructured.NestedString(object.Object, "spec", "url")
	}
}

// sourceRef is the full name of the Kustomization's source.
func (n *node) sourceRef() objectRef {
	ref := n.spec.SourceRef
	return objectRef{Kind: ref.Kind, Namespace: cmp.Or(ref.Namespace, n.Namespace), Name: ref.Name}
}

func (w *walk) hasSource(n *node) bool { return w.sourceOf(n) != nil }

// sourceOf is the source that a Kustomization names; nil when none is declared. In a
// repository that is no archipel stack, the one called flux-system is this repository:
// the bootstrap made it.
func (w *walk) sourceOf(n *node) *Source {
	ref := n.sourceRef()
	if s := w.sources[ref]; s != nil {
		return s
	}
	if ref.Name == fluxSystem && len(w.result.Kustomizations) == 0 || ref.Name == fluxSystem && w.site == nil {
		s := &Source{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name, Local: true}
		w.sources[ref] = s
		return s
	}
	return nil
}

// build builds and applies one Kustomization.
func (w *walk) build(ctx context.Context, n *node) error {
	w.result.Kustomizations = append(w.result.Kustomizations, n.Kustomization)
	n.Path = inside(n.spec.Path)
	for _, d := range n.spec.DependsOn {
		n.DependsOn = append(n.DependsOn, cmp.Or(d.Namespace, n.Namespace)+"/"+d.Name)
	}
	n.Source = w.sourceOf(n)
	if n.spec.Suspend {
		w.skip("kustomization-suspended", "it is suspended: Flux leaves what it applied before as it is; remove spec.suspend to render it", n.Object)
		return nil
	}
	if n.Object != nil {
		if elsewhere, _, _ := unstructured.NestedMap(n.Object.Object, "spec", "kubeConfig"); elsewhere != nil {
			w.skip("cluster-elsewhere", "it applies to another cluster (spec.kubeConfig), not to this one", n.Object)
			return nil
		}
	}
	if n.Source == nil {
		ref := n.sourceRef()
		w.fail("source-missing", n.Object, fmt.Sprintf("Kustomization %s/%s has the source %s %s/%s, which nothing declares", n.Namespace, n.Name, ref.Kind, ref.Namespace, ref.Name),
			"declare it, or name one that is declared in spec.sourceRef")
		return nil
	}
	t, err := w.files(ctx, n.Source, n.Object)
	if err != nil || t == nil {
		return err
	}
	if _, ok := t.folders[n.Path]; !ok {
		message := fmt.Sprintf("Kustomization %s/%s has the path %s, which is no folder of its source", n.Namespace, n.Name, n.spec.Path)
		if t.links[n.Path] {
			message += ": it is a symbolic link, which Flux leaves out"
		}
		w.fail("kustomization-path-missing", n.Object, message, "correct spec.path; what .sourceignore, spec.ignore or .gitignore exclude is not there for Flux")
		return nil
	}
	var keys *keyring
	if n.spec.Decryption != nil && n.spec.Decryption.Provider == "sops" {
		keys = w.r.keys
	}
	b, problem := w.r.buildOf(t, n.Path, n.spec.only(), keys)
	if problem != nil {
		w.add(n.place(*problem, t))
		return nil
	}
	n.Built = true
	for _, name := range b.opaque {
		w.skip("secret-undecryptable", name+" is encrypted, and no age identity at hand opens it: the name that a generator gives depends on its content", n.Object)
	}
	for _, name := range b.altered {
		w.add(n.place(altered(name), t))
	}
	w.apply(b, n, t)
	return nil
}

func altered(name string) finding.Finding {
	return finding.Finding{
		Rule: "secret-altered", Severity: finding.Warning, Position: finding.Position{File: name}, Secret: true,
		Message: "it was edited after it was encrypted: SOPS's checksum does not match, and sops refuses to open it", Fix: "edit it with sops",
	}
}

// place moves a finding of a build that is not of this repository to the object that builds it.
func (n *node) place(f finding.Finding, t *tree) finding.Finding {
	if t.local || n == nil || n.Object == nil {
		return f
	}
	f.Message = fmt.Sprintf("in the source of Kustomization %s/%s, %s: %s", n.Namespace, n.Name, f.Position.File, f.Message)
	f.Position = n.Object.Origin.Position
	return f
}

// apply makes the objects of a build those of the cluster.
func (w *walk) apply(b *built, n *node, t *tree) {
	var variables map[string]variable
	if n != nil {
		var complete bool
		variables, complete = w.variables(n, false)
		n.Built = n.Built && complete
		n.Variables, n.SecretVariables, n.Used = map[string]string{}, map[string]bool{}, map[string]bool{}
		for name, v := range variables {
			if v.secret {
				n.SecretVariables[name] = true
				w.result.secrets.add(v.value)
			} else {
				n.Variables[name] = v.value
			}
		}
	}
	for _, written := range b.objects {
		if len(w.result.Objects) >= maxObjects {
			w.add(finding.Finding{
				Rule: "kustomization-invalid", Severity: finding.Error, Position: finding.Position{File: w.entry},
				Message: fmt.Sprintf("there are more than %d objects", maxObjects), Fix: "split the site",
			})
			return
		}
		if object := w.finalize(written, n, t, variables); object != nil {
			w.put(object)
		}
	}
}

// put is what the API server does with an object, and what Flux's controllers then do.
func (w *walk) put(object *Object) {
	w.result.Objects = append(w.result.Objects, object)
	w.latest[idOf(object.Unstructured)] = object
	switch kind := object.GetKind(); group(object.Unstructured) {
	case "apiextensions.k8s.io":
		if d, ok := definitionOf(object.Unstructured); ok && kind == "CustomResourceDefinition" {
			w.definitions[ID{Group: d.group, Kind: d.kind}] = d
		}
	case sourceGroup:
		w.putSource(object)
	case kustomizeGroup:
		if kind == "Kustomization" {
			w.putKustomization(object)
		}
	case helmGroup:
		if name := [2]string{object.GetNamespace(), object.GetName()}; kind == "HelmRelease" && !w.released[name] {
			if len(w.released) == maxReleases {
				w.fail("helmrelease-invalid", object, fmt.Sprintf("there are more than %d HelmReleases", maxReleases), "split the site")
				return
			}
			w.released[name] = true
			w.releases = append(w.releases, object)
		}
	}
}

func (w *walk) putSource(object *Object) {
	kind := object.GetKind()
	if !slices.Contains([]string{"GitRepository", "OCIRepository", "HelmRepository", "HelmChart", "Bucket", "ExternalArtifact"}, kind) {
		return
	}
	ref := objectRef{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName()}
	s := w.sources[ref]
	if s == nil {
		s = &Source{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
		w.sources[ref] = s
	}
	s.Object = object
	s.URL, _, _ = unstructured.NestedString(object.Object, "spec", "url")
	if kind == "GitRepository" && !s.Local {
		s.Local = w.isThisRepository(s)
	}
}

// isThisRepository says whether a source fetches what is being rendered: the same
// repository at the same revision as the root's source.
func (w *walk) isThisRepository(s *Source) bool {
	if w.site != nil && s.URL == w.site.Facts.GitURL {
		branch, _, _ := unstructured.NestedString(s.Object.Object, "spec", "ref", "branch")
		ref, _, _ := unstructured.NestedMap(s.Object.Object, "spec", "ref")
		return len(ref) == 1 && branch == w.site.Facts.GitBranch
	}
	for _, other := range w.sources {
		if other != s && other.Local && other.Object != nil && other.URL != "" && other.URL == s.URL {
			a, _, _ := unstructured.NestedMap(other.Object.Object, "spec", "ref")
			b, _, _ := unstructured.NestedMap(s.Object.Object, "spec", "ref")
			return fmt.Sprint(a) == fmt.Sprint(b)
		}
	}
	return false
}

func (w *walk) putKustomization(object *Object) {
	namespace := object.GetNamespace()
	if namespace == "" && object.Origin.Kustomization != nil {
		namespace = object.Origin.Kustomization.Namespace // the API server refuses it; what it says is shown all the same
	}
	name := [2]string{namespace, object.GetName()}
	if n := w.nodes[name]; n != nil {
		if n.Object == nil { // the root has applied itself
			n.Object = object
		}
		return
	}
	if len(w.nodes) == maxKustomizations {
		w.fail("kustomization-invalid", object, fmt.Sprintf("there are more than %d Kustomizations", maxKustomizations), "split the site")
		return
	}
	s, err := specOf(object.Unstructured)
	if err != nil {
		w.fail("kustomization-invalid", object, fmt.Sprintf("Kustomization %s/%s cannot be read: %s", namespace, object.GetName(), line(err)), "correct the field")
		return
	}
	n := &node{spec: s, Kustomization: &Kustomization{
		Namespace: namespace, Name: object.GetName(), Object: object, Parent: object.Origin.Kustomization, Path: inside(s.Path),
	}}
	w.nodes[name] = n
	w.waiting = append(w.waiting, n)
}

// skip notes what was left out. reason says what is missing and how to get it.
func (w *walk) skip(code, reason string, o *Object) {
	s := Skip{Code: code, Reason: reason}
	if o != nil {
		s.Object, s.Position = o.name(), o.Origin.Position
	}
	w.result.Skipped = append(w.result.Skipped, s)
}

// fail notes what Flux would refuse, at the place of an object.
func (w *walk) fail(rule string, o *Object, message, fix string) {
	f := finding.Finding{Rule: rule, Severity: finding.Error, Message: message, Fix: fix, Position: finding.Position{File: w.entry}}
	if o != nil && o.Origin.Position.File != "" {
		f.Position = o.Origin.Position
	}
	w.add(f)
}

func (w *walk) add(f finding.Finding) {
	if w.site != nil {
		f.Sites = []string{w.site.Name}
	}
	w.result.Findings = append(w.result.Findings, f)
}

// name is kind namespace/name.
func (o *Object) name() string {
	return o.GetKind() + " " + strings.TrimPrefix(path.Join(o.GetNamespace(), o.GetName()), "/")
}

func group(o *unstructured.Unstructured) string {
	g, _, found := strings.Cut(o.GetAPIVersion(), "/")
	if !found {
		return ""
	}
	return g
}

func idOf(o *unstructured.Unstructured) ID {
	return ID{Group: group(o), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

// ID returns the object's identity.
func (o *Object) ID() ID { return idOf(o.Unstructured) }

// find returns what the site holds of a kind that Flux's controllers look up; nil when
// it holds no such object.
func (w *walk) find(kind, namespace, name string) *Object {
	of := sourceGroup
	if kind == "ConfigMap" || kind == "Secret" || kind == "Namespace" {
		of = ""
	}
	return w.latest[ID{Group: of, Kind: kind, Namespace: namespace, Name: name}]
}

// release renders one HelmRelease.
func (w *walk) release(ctx context.Context, object *Object) {
	if suspended, _, _ := unstructured.NestedBool(object.Object, "spec", "suspend"); suspended {
		w.result.Releases = append(w.result.Releases, &Release{Namespace: object.GetNamespace(), Name: object.GetName(), Object: object})
		w.skip("release-suspended", "it is suspended: Flux leaves what it installed before as it is; remove spec.suspend to render it", object)
		return
	}
	out := w.r.release(ctx, releaseInput{
		object: object, kustomization: object.Origin.Kustomization, kubeVersion: w.kubernetes, apiVersions: w.apiVersions(),
		find: w.find, clusterScoped: w.clusterScoped, source: w.declared,
		tree: func(source *Object) (*tree, *Skip) { return w.treeFor(source, object) },
	})
	if out.release != nil {
		w.result.Releases = append(w.result.Releases, out.release)
	}
	w.result.Skipped = append(w.result.Skipped, out.skipped...)
	for _, f := range out.findings {
		w.add(f)
	}
	for _, text := range out.secrets {
		w.result.secrets.add(text)
	}
	for _, o := range out.objects {
		if len(w.result.Objects) < maxObjects {
			w.put(o)
		}
	}
}

// declared is what the result says of a source object; nil when it is none.
func (w *walk) declared(o *Object) *Source {
	return w.sources[objectRef{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}]
}

// treeFor is the artefact of a GitRepository or a Bucket that a release takes its chart from.
func (w *walk) treeFor(source, release *Object) (*tree, *Skip) {
	elsewhere := &Skip{
		Code: "source-elsewhere", Object: release.name(), Position: release.Origin.Position,
		Reason: fmt.Sprintf("its source %s is not this repository, and is not fetched", source.name()),
	}
	s := w.declared(source)
	if s == nil || !s.Local {
		return nil, elsewhere
	}
	t, err := w.local(s, release)
	if err != nil {
		elsewhere.Reason = line(err)
		return nil, elsewhere
	}
	return t, nil
}

// finish brings the result into its order.
func (w *walk) finish() {
	for _, s := range w.sources {
		w.result.Sources = append(w.result.Sources, s)
	}
	slices.SortFunc(w.result.Sources, func(a, b *Source) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	slices.SortStableFunc(w.result.Objects, compareObjects)
	slices.SortStableFunc(w.result.Skipped, func(a, b Skip) int {
		return cmp.Or(strings.Compare(a.Code, b.Code), strings.Compare(a.Object, b.Object), strings.Compare(a.Reason, b.Reason))
	})
	w.result.Findings = finding.Dedup(w.result.Findings)
}

func compareObjects(a, b *Object) int {
	x, y := a.ID(), b.ID()
	return cmp.Or(
		strings.Compare(x.Group, y.Group), strings.Compare(x.Kind, y.Kind),
		strings.Compare(x.Namespace, y.Namespace), strings.Compare(x.Name, y.Name),
		strings.Compare(a.Origin.Position.File, b.Origin.Position.File), cmp.Compare(a.Origin.Position.Line, b.Origin.Position.Line),
		strings.Compare(a.Origin.Template, b.Origin.Template),
	)
}
