package diff

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"archipel/internal/render"
	"archipel/internal/schema"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Options are what a comparison needs beside the two renders.
type Options struct {
	Before, After string // names of the two trees, for what was skipped
	// Immutable returns the changes that the API server refuses; nil when nobody can say.
	Immutable func(before, after map[string]any) []schema.Problem
}

// Compare says what a site does when it goes from one render to another. Nil
// stands for a tree that does not have the site. The results are not changed.
func Compare(site string, before, after *render.Result, options Options) ([]Change, []Skipped) {
	secret := func(text string) bool {
		return before != nil && before.Secret(text) || after != nil && after.Secret(text)
	}
	return compare(site, before, after, options, secret)
}

func compare(site string, before, after *render.Result, options Options, secret func(string) bool) ([]Change, []Skipped) {
	if before == nil {
		before = &render.Result{}
	}
	if after == nil {
		after = &render.Result{}
	}
	c := comparer{
		site: site, options: options, secret: secret,
		before: newSide(before), after: newSide(after), unknown: map[string]string{},
	}
	for _, id := range c.ids() {
		c.pair(c.before.objects[id], c.after.objects[id])
	}
	c.skip(options.Before, before.Skipped)
	c.skip(options.After, after.Skipped)
	for _, owner := range slices.Sorted(maps.Keys(c.unknown)) {
		c.skipped = append(c.skipped, Skipped{
			Sides: []string{c.unknown[owner]}, Code: "owner-not-rendered", Object: owner, Sites: []string{site},
			Reason: "what it applies is not known, so its objects were not compared",
		})
	}
	return c.changes, c.skipped
}

// side is one render, indexed.
type side struct {
	objects        map[render.ID][]*render.Object
	kustomizations map[string]*render.Kustomization
	releases       map[string]*render.Release
}

func newSide(r *render.Result) side {
	s := side{
		objects:        make(map[render.ID][]*render.Object, len(r.Objects)),
		kustomizations: map[string]*render.Kustomization{}, releases: map[string]*render.Release{},
	}
	for _, o := range r.Objects {
		id := o.ID()
		s.objects[id] = append(s.objects[id], o)
	}
	for _, k := range r.Kustomizations {
		s.kustomizations[k.Namespace+"/"+k.Name] = k
	}
	for _, release := range r.Releases {
		s.releases[release.Namespace+"/"+release.Name] = release
	}
	return s
}

// comparer compares the two renders of one site.
type comparer struct {
	site          string
	options       Options
	secret        func(string) bool
	before, after side
	changes       []Change
	skipped       []Skipped
	unknown       map[string]string // owners that were not rendered, and on which side
}

// ids returns the names of all objects of both sides, sorted.
func (c *comparer) ids() []render.ID {
	all := map[render.ID]bool{}
	for id := range c.before.objects {
		all[id] = true
	}
	for id := range c.after.objects {
		all[id] = true
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b render.ID) int {
		return slices.Compare([]string{a.Kind, a.Namespace, a.Name, a.Group}, []string{b.Kind, b.Namespace, b.Name, b.Group})
	})
}

// pair compares the objects of one name; there are several when several owners apply it.
func (c *comparer) pair(before, after []*render.Object) {
	before, after = slices.Clone(before), slices.Clone(after)
	for i := 0; i < len(before); i++ {
		same := slices.IndexFunc(after, func(o *render.Object) bool { return owner(o) == owner(before[i]) })
		if same < 0 {
			continue
		}
		c.changed(before[i], after[same])
		before, after = slices.Delete(before, i, i+1), slices.Delete(after, same, same+1)
		i--
	}
	for i := range max(len(before), len(after)) {
		switch {
		case i >= len(after):
			c.removed(before[i])
		case i >= len(before):
			c.created(after[i])
		default:
			c.changed(before[i], after[i])
		}
	}
}

// owner names who applies an object; it is empty for a plain folder.
func owner(o *render.Object) string {
	switch {
	case o.Origin.Release != nil:
		return "HelmRelease " + o.Origin.Release.Namespace + "/" + o.Origin.Release.Name
	case o.Origin.Kustomization != nil:
		return "Kustomization " + o.Origin.Kustomization.Namespace + "/" + o.Origin.Kustomization.Name
	}
	return ""
}

// subject names an object.
func subject(o *render.Object) string {
	name := o.GetName()
	if o.GetNamespace() != "" {
		name = o.GetNamespace() + "/" + name
	}
	kind := o.GetKind()
	// Two groups share this kind in every tree of Flux.
	if kind == "Kustomization" && o.GroupVersionKind().Group != fluxGroup {
		kind += "." + o.GroupVersionKind().Group
	}
	return clip(kind + " " + name)
}

func (c *comparer) change(action Action, o *render.Object) Change {
	change := Change{
		Layer: Kubernetes, Action: action, Subject: subject(o), Owner: clip(owner(o)), Sites: []string{c.site}, Source: o.Origin.Position,
	}
	if o.Origin.Hook {
		change.Notes = append(change.Notes, "a Helm hook: it runs on the way and does not stay")
	}
	if len(o.Origin.Unsure) > 0 {
		change.Notes = append(change.Notes, "holds values that are made anew at each render ("+clip(strings.Join(o.Origin.Unsure, ", "))+"): not every difference is real")
	}
	if o.Origin.Opaque {
		change.Notes = append(change.Notes, "holds values that cannot be decrypted here")
	}
	return change
}

func (c *comparer) mask(o *render.Object) masker {
	return masker{kindSecret: o.GetKind() == "Secret" && o.GroupVersionKind().Group == "", secret: c.secret}
}

func (c *comparer) created(o *render.Object) {
	if unknown := notRendered(c.before, o); unknown != "" {
		c.unknown[unknown] = c.options.Before
		return
	}
	change := c.change(Created, o)
	change.Fields = c.keyFields(o, FieldAdded)
	if left := c.definitionLeft(o); left != "" {
		change.Notes = append(change.Notes, left)
	}
	change.Dangers = dangers(change, nil, o)
	c.changes = append(c.changes, change)
}

func (c *comparer) removed(o *render.Object) {
	f := c.fate(o, 0)
	if f.unknown != "" {
		c.unknown[f.unknown] = c.options.After
		return
	}
	change := c.change(LeftBehind, o)
	if f.deleted {
		change.Action = Deleted
	}
	if o.Origin.Hook {
		change.Action, f.why = Deleted, ""
	}
	change.Fields = c.keyFields(o, FieldRemoved)
	if f.why != "" {
		change.Notes = append(change.Notes, f.why)
	}
	change.Dangers = dangers(change, o, nil)
	c.changes = append(c.changes, change)
}

func (c *comparer) changed(before, after *render.Object) {
	moved := owner(before) != owner(after)
	if !moved && (before.Unstructured == after.Unstructured || reflect.DeepEqual(before.Object, after.Object)) {
		return
	}
	mask := c.mask(after)
	mask.kindSecret = mask.kindSecret || c.mask(before).kindSecret
	d := fieldDiffer{mask: mask, noise: map[string]bool{}}
	d.compare(nil, before.Object, after.Object)
	change := c.change(Changed, after)
	change.Fields, change.More = d.fields, d.more
	sortFields(change.Fields)
	if len(d.fields)+len(d.noise) == 0 && !moved {
		return // numbers that are written in another way
	}
	if len(d.noise) > 0 {
		change.Notes = append(change.Notes, "labels and annotations that follow: "+strings.Join(slices.Sorted(maps.Keys(d.noise)), ", "))
	}
	change.Quiet = len(d.fields) == 0 && !d.inPods && !moved
	change.Notes = append(change.Notes, rollout(after, d)...)
	if moved {
		change.Action, change.Former = Moved, clip(owner(before))
	}
	if left := c.definitionLeft(after); left != "" {
		change.Notes = append(change.Notes, left)
	}
	change.Dangers = dangers(change, before, after)
	if moved {
		change.Dangers = append(change.Dangers, c.moveDangers(before)...)
	}
	change.Dangers = append(change.Dangers, c.refused(before, after)...)
	c.changes = append(c.changes, change)
}

// rollout says that pods are replaced, which is what a change of their template does.
func rollout(o *render.Object, d fieldDiffer) []string {
	if !slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, o.GetKind()) {
		return nil
	}
	template := d.inPods || slices.ContainsFunc(d.fields, func(f Field) bool { return strings.HasPrefix(f.Path, "spec.template.") })
	if !template {
		return nil
	}
	if strategy, _, _ := unstructured.NestedString(o.Object, "spec", "updateStrategy", "type"); strategy == "OnDelete" {
		return []string{"running pods stay as they are until someone deletes them (OnDelete)"}
	}
	return []string{"its pods are replaced"}
}

// refused returns what the API server refuses of a change, in words.
func (c *comparer) refused(before, after *render.Object) []string {
	if c.options.Immutable == nil || after.Origin.Hook {
		return nil
	}
	var words []string
	for _, p := range c.options.Immutable(before.Object, after.Object) {
		reason := fmt.Sprintf("the API server refuses it: %s cannot be changed", pathOf(p.Path))
		if forced(after) {
			reason = fmt.Sprintf("it is deleted and created again: %s cannot be changed, and force is set", pathOf(p.Path))
		}
		words = append(words, clip(reason))
	}
	return words
}

// forced reports whether Flux replaces an object that the API server refuses to
// change: kustomize-controller by spec.force or an annotation, helm-controller by spec.upgrade.force.
func forced(o *render.Object) bool {
	if r := o.Origin.Release; r != nil {
		return r.Object != nil && isTrue(r.Object, "spec", "upgrade", "force")
	}
	if o.GetAnnotations()[fluxGroup+"/force"] == "enabled" || o.GetLabels()[fluxGroup+"/force"] == "enabled" {
		return true
	}
	k := o.Origin.Kustomization
	return k != nil && k.Object != nil && isTrue(k.Object, "spec", "force")
}

func pathOf(path []string) string {
	if len(path) == 0 {
		return "the object"
	}
	var s steps
	for _, key := range path {
		s = append(s, step{key: key})
	}
	return s.String()
}

// definitionLeft says that Helm does not apply a definition of a chart's crds/
// folder: helm-controller's default for an upgrade is Skip.
func (c *comparer) definitionLeft(o *render.Object) string {
	r := o.Origin.Release
	if !o.Origin.CRD || r == nil || r.Object == nil {
		return ""
	}
	if _, installed := c.before.releases[r.Namespace+"/"+r.Name]; !installed {
		return ""
	}
	policy, _, _ := unstructured.NestedString(r.Object.Object, "spec", "upgrade", "crds")
	switch policy {
	case "CreateReplace":
		return ""
	case "Create":
		if _, there := c.before.objects[o.ID()]; !there {
			return ""
		}
		return "the cluster keeps the definition as it is: spec.upgrade.crds of the release is Create"
	}
	return "the cluster keeps its definitions as they are: spec.upgrade.crds of the release is Skip, the default"
}

func (c *comparer) skip(sideName string, skips []render.Skip) {
	for _, s := range skips {
		c.skipped = append(c.skipped, Skipped{
			Sides: []string{sideName}, Code: s.Code, Object: clip(s.Object), Reason: clip(s.Reason), Sites: []string{c.site},
		})
	}
}
