package pack

import (
	"testing"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// Helm's loader gives the dependencies in the order of a map, which two packs in a
// row may well share.
func TestStampOrdersTheDependencies(t *testing.T) {
	released := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	named := func(name string) *chart.Chart { return &chart.Chart{Metadata: &chart.Metadata{Name: name}} }
	parent := named("parent")
	parent.SetDependencies(named("b"), named("c"), named("a"))
	stamp(parent, released)
	for i, want := range []string{"a", "b", "c"} {
		d := parent.Dependencies()[i]
		if d.Name() != want || !d.ModTime.Equal(released) {
			t.Errorf("dependency %d is %s of %v, want %s of %v", i, d.Name(), d.ModTime, want, released)
		}
	}
}
