package schema

import (
	"encoding/json"
	"testing"
)

// FuzzValidate feeds anything to a kind of Kubernetes and to one of a definition, and as a
// definition itself.
func FuzzValidate(f *testing.F) {
	for _, file := range []string{"builtin.yaml", "custom.yaml"} {
		for _, s := range corpus(f, file) {
			data, err := json.Marshal(s.object)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	for _, definition := range definitions(f) {
		data, err := json.Marshal(definition)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	store := New()
	set, _ := store.Set("1.36", definitions(f))
	base := corpus(f, "custom.yaml")[0].object
	f.Fuzz(func(t *testing.T, data []byte) {
		var object map[string]any
		if json.Unmarshal(data, &object) != nil {
			return
		}
		first := set.validate(object)
		if len(first) > maxProblems {
			t.Errorf("%d problems", len(first))
		}
		for i, p := range set.validate(object) {
			if p.Message != first[i].Message {
				t.Errorf("twice not the same: %v, %v", first[i], p)
			}
		}
		set.ImmutableChanges(object, base)
		set.ImmutableChanges(base, object)
		if text(object["kind"]) == "CustomResourceDefinition" {
			own, _ := New().Set("1.36", []map[string]any{object})
			own.Validate(base)
			own.Scope("example.com", "Widget")
		}
	})
}

func FuzzValues(f *testing.F) {
	f.Add([]byte(exampleSchema), []byte(`{"image": {"repository": 1}, "hosts": ["A", "b", "c"]}`))
	f.Add([]byte(`{"$ref": "#"}`), []byte(`{}`))
	f.Add([]byte(`{"properties": {"a": {"$ref": "#"}}, "patternProperties": {"^b": {"not": {}}}}`), []byte(`{"a": {"a": {"b": 1}}}`))
	f.Fuzz(func(_ *testing.T, schema, data []byte) {
		var values map[string]any
		if json.Unmarshal(data, &values) == nil {
			New().Values(schema, values)
		}
	})
}
