package schema

import (
	"slices"
	"strings"
	"testing"
)

// transition is a change of an object, and the fields that must not change.
type transition struct {
	Name   string         `json:"name"`
	Base   string         `json:"base"`
	Before map[string]any `json:"before"` // changes of the base
	After  map[string]any `json:"after"`  // changes of that
	Want   []string       `json:"want"`   // pointers

	before, after map[string]any
}

func changes(t testing.TB) []transition {
	t.Helper()
	var all []transition
	readCorpus(t, "changes.yaml", &all)
	bases := map[string]map[string]any{}
	readCorpus(t, "bases.yaml", &bases)
	for i := range all {
		c := &all[i]
		c.before = changed(t, bases[c.Base], c.Before)
		c.after = changed(t, c.before, c.After)
	}
	return all
}

func changed(t testing.TB, object, changes map[string]any) map[string]any {
	t.Helper()
	object = plain(object).(map[string]any)
	for _, pointer := range sortedKeys(changes) {
		change(t, object, pointer, func(holder map[string]any, key string) { holder[key] = plain(changes[pointer]) })
	}
	return object
}

func TestImmutableChanges(t *testing.T) {
	set, _ := New().Set("1.36", definitions(t))
	for _, c := range changes(t) {
		var got []string
		for _, p := range set.ImmutableChanges(c.before, c.after) {
			if p.Kind != FieldImmutable {
				t.Errorf("%s: %v", c.Name, p)
			}
			got = append(got, "/"+strings.Join(p.Path, "/"))
		}
		if !slices.Equal(got, c.Want) {
			t.Errorf("%s: got %q, want %q", c.Name, got, c.Want)
		}
		for _, object := range []map[string]any{c.before, c.after} {
			if problems := set.Validate(object); len(problems) > 0 {
				t.Errorf("%s: %v", c.Name, problems)
			}
			if problems := set.ImmutableChanges(object, object); len(problems) > 0 {
				t.Errorf("%s: without a change: %v", c.Name, problems)
			}
		}
	}
}
