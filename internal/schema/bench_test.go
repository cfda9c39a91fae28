package schema

import "testing"

// BenchmarkValidate checks objects of Kubernetes as they stand in a tree, without memory of
// earlier verdicts; in BenchmarkValidateAgain all are remembered.
func BenchmarkValidate(b *testing.B) {
	set, objects := benchmarkObjects(b)
	for i := range b.N {
		set.validate(objects[i%len(objects)])
	}
}

func BenchmarkValidateAgain(b *testing.B) {
	set, objects := benchmarkObjects(b)
	for i := range b.N {
		set.Validate(objects[i%len(objects)])
	}
}

// BenchmarkRules runs the CEL rules of a definition that has some.
func BenchmarkRules(b *testing.B) {
	set, _ := New().Set("1.36", definitions(b))
	object := corpus(b, "custom.yaml")[0].object
	for range b.N {
		set.validate(object)
	}
}

// BenchmarkFirst is what the first object of a run costs: reading the minor.
func BenchmarkFirst(b *testing.B) {
	object := corpus(b, "builtin.yaml")[0].object
	for range b.N {
		set, _ := New().Set("1.36", nil)
		set.Validate(object)
	}
}

func benchmarkObjects(b *testing.B) (*Set, []map[string]any) {
	b.Helper()
	set, _ := New().Set("1.36", nil)
	var objects []map[string]any
	for _, s := range corpus(b, "builtin.yaml")[:22] { // the bases, unchanged
		set.Validate(s.object)
		objects = append(objects, s.object)
	}
	b.ReportAllocs()
	b.ResetTimer()
	return set, objects
}
