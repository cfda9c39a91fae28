// Package diff says what a change of the repository would do to every site once Flux applies it.
package diff

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"archipel/internal/finding"
)

// Layer is the part of the stack that a change is in.
type Layer string

// The layers, in the order in which they are shown.
const (
	Inventory  Layer = "inventory"
	Kubernetes Layer = "kubernetes"
	Terraform  Layer = "terraform"
	Ansible    Layer = "ansible"
)

// Action is what happens to a thing.
type Action string

// The actions.
const (
	Created    Action = "created"
	Changed    Action = "changed"
	Moved      Action = "moved"       // another Kustomization or HelmRelease applies it
	Deleted    Action = "deleted"     // Flux or Helm deletes it
	LeftBehind Action = "left-behind" // the repository no longer has it, and nothing deletes it
)

// Report is what a change would do to a fleet.
type Report struct {
	Before  string    // the name of the tree that sites run
	After   string    // the name of the tree that they would run
	Sites   []string  // that were compared, sorted
	Files   int       // of the layers that differ
	Changes []Change  // the dangerous ones first, then by layer and subject
	Skipped []Skipped // what could not be compared, and why
}

// Change is what happens to one thing, on all sites on which the same happens to it.
type Change struct {
	Layer   Layer
	Action  Action
	Subject string           // what changes, for example "Deployment whoami/whoami" or "node site-a-agent-3"
	Sites   []string         // sorted; empty for what belongs to no site
	Dangers []string         // why to look twice; empty for most changes
	Owner   string           // who applies it once it has changed, for example "HelmRelease flux-system/cilium"
	Former  string           // who applied it before, when that is another
	Fields  []Field          // what differs; of what is created or deleted the fields that tell most
	More    int              // fields that were left out, because there are too many
	Notes   []string         // what else is to know, in words
	Quiet   bool             // nothing but labels and annotations that name a version or a checksum
	Source  finding.Position // of the declaration, where it is known
}

// FieldKind is how a field differs.
type FieldKind string

// The kinds of differences.
const (
	FieldAdded     FieldKind = "added"
	FieldRemoved   FieldKind = "removed"
	FieldChanged   FieldKind = "changed"
	FieldReordered FieldKind = "reordered" // a list holds the same in another order
)

// Field is one field that differs.
type Field struct {
	// Path leads to it: keys joined by dots, entries of lists in brackets by their merge
	// key or index, and " > " before what is inside a text that is YAML itself.
	Path     string
	Kind     FieldKind
	Old, New any  // JSON values, shortened when they are huge; nil when there is none or it is masked
	Masked   bool // the values may be secret and are not shown
}

// Skipped is what could not be compared.
type Skipped struct {
	Sides  []string // names of the trees
	Code   string   // noun-problem, of package render where it comes from there
	Object string   // what was left out; may be empty
	Reason string   // one line
	Sites  []string
}

// Dangerous counts the changes that have a danger.
func (r *Report) Dangerous() int {
	n := 0
	for _, c := range r.Changes {
		if len(c.Dangers) > 0 {
			n++
		}
	}
	return n
}

// Collector merges the changes of many sites: the same change is kept once. It
// is not safe for concurrent use.
type Collector struct {
	changes map[string]*Change
	skipped map[string]*Skipped
}

// NewCollector returns an empty Collector.
func NewCollector() *Collector {
	return &Collector{changes: map[string]*Change{}, skipped: map[string]*Skipped{}}
}

// Add merges changes, which must not be used afterwards.
func (c *Collector) Add(changes []Change) {
	for _, change := range changes {
		sites := change.Sites
		change.Sites = nil
		// The document stands in another file at each site, and what it does is the same.
		source := change.Source
		change.Source = finding.Position{}
		key, err := json.Marshal(change)
		if err != nil {
			continue // JSON values only: it cannot fail
		}
		same, ok := c.changes[string(key)]
		if !ok {
			same = &change
			same.Source = source
			c.changes[string(key)] = same
		} else if source.File < same.Source.File {
			same.Source = source
		}
		same.Sites = append(same.Sites, sites...)
	}
}

// Skip merges what could not be compared.
func (c *Collector) Skip(skipped []Skipped) {
	for _, s := range skipped {
		key := strings.Join([]string{s.Code, s.Object, s.Reason}, "\x00")
		if same, ok := c.skipped[key]; ok {
			same.Sides = append(same.Sides, s.Sides...)
			same.Sites = append(same.Sites, s.Sites...)
			continue
		}
		c.skipped[key] = &s
	}
}

// Report returns what was collected, sorted; files is how many differ.
func (c *Collector) Report(before, after string, sites []string, files int) *Report {
	r := &Report{Before: before, After: after, Sites: slices.Sorted(slices.Values(sites)), Files: files}
	for _, change := range c.changes {
		change.Sites = unique(change.Sites)
		r.Changes = append(r.Changes, *change)
	}
	for _, s := range c.skipped {
		s.Sites, s.Sides = unique(s.Sites), unique(s.Sides)
		r.Skipped = append(r.Skipped, *s)
	}
	slices.SortFunc(r.Changes, compareChanges)
	slices.SortFunc(r.Skipped, func(a, b Skipped) int {
		return cmp.Or(strings.Compare(a.Code, b.Code), strings.Compare(a.Object, b.Object), strings.Compare(a.Reason, b.Reason))
	})
	return r
}

func unique(sites []string) []string {
	slices.Sort(sites)
	return slices.Compact(sites)
}

func compareChanges(a, b Change) int {
	weight := func(c Change) int {
		switch {
		case len(c.Dangers) > 0:
			return 0
		case !c.Quiet:
			return 1
		}
		return 2
	}
	layers := []Layer{Inventory, Kubernetes, Terraform, Ansible}
	return cmp.Or(
		cmp.Compare(weight(a), weight(b)),
		cmp.Compare(slices.Index(layers, a.Layer), slices.Index(layers, b.Layer)),
		strings.Compare(a.Subject, b.Subject),
		strings.Compare(string(a.Action), string(b.Action)),
		slices.Compare(a.Sites, b.Sites),
		slices.CompareFunc(a.Fields, b.Fields, func(x, y Field) int {
			return cmp.Or(strings.Compare(x.Path, y.Path), strings.Compare(show(x.Old), show(y.Old)), strings.Compare(show(x.New), show(y.New)))
		}),
		slices.Compare(a.Notes, b.Notes),
		strings.Compare(a.Owner, b.Owner),
		strings.Compare(a.Former, b.Former),
	)
}
