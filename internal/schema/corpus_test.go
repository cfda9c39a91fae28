package schema

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// sample is one object of the corpus and its verdict. The end-to-end test asks a real API
// server for the same verdicts.
type sample struct {
	Name   string         `json:"name"`
	Base   string         `json:"base"`
	Set    map[string]any `json:"set"`    // by pointer; ~1 is a slash in a name
	Remove []string       `json:"remove"` // pointers
	Want   []string       `json:"want"`   // kind and pointer of each problem
	Server string         `json:"server"` // what the API server does where it is more lenient

	object map[string]any
}

func readCorpus(t testing.TB, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "corpus", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func corpus(t testing.TB, name string) []sample {
	t.Helper()
	var samples []sample
	readCorpus(t, name, &samples)
	bases := map[string]map[string]any{}
	readCorpus(t, "bases.yaml", &bases)
	for i := range samples {
		s := &samples[i]
		if s.Name == "" {
			s.Name = s.Base
		}
		if bases[s.Base] == nil {
			t.Fatalf("%s: no base %q", s.Name, s.Base)
		}
		s.object = changed(t, bases[s.Base], s.Set)
		for _, pointer := range s.Remove {
			change(t, s.object, pointer, func(object map[string]any, key string) {
				if _, ok := object[key]; !ok {
					t.Fatalf("%s: nothing at %s", s.Name, pointer)
				}
				delete(object, key)
			})
		}
	}
	return samples
}

// change calls do with the object that holds what a pointer names, made where it lacks.
func change(t testing.TB, object map[string]any, pointer string, do func(map[string]any, string)) {
	t.Helper()
	parts := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], "~1", "/")
	}
	var at any = object
	for _, part := range parts[:len(parts)-1] {
		next := childOf(at, part)
		if next == nil {
			next = map[string]any{}
			at.(map[string]any)[part] = next
		}
		at = next
	}
	holder, ok := at.(map[string]any)
	if !ok {
		t.Fatalf("%s leads to no object", pointer)
	}
	do(holder, parts[len(parts)-1])
}

func definitions(t testing.TB) []map[string]any {
	t.Helper()
	var all []map[string]any
	readCorpus(t, "definitions.yaml", &all)
	return all
}

func pointers(problems []Problem) []string {
	var all []string
	for _, p := range problems {
		pointer := ""
		for _, part := range p.Path {
			pointer += "/" + part
		}
		if pointer == "" {
			pointer = `""`
		}
		all = append(all, string(p.Kind)+" "+pointer)
	}
	return all
}

func TestCorpus(t *testing.T) {
	store := New()
	for _, file := range []string{"builtin.yaml", "custom.yaml"} {
		for _, minor := range Minors() {
			set, problems := store.Set(minor, definitions(t))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			for _, s := range corpus(t, file) {
				before, _ := json.Marshal(s.object)
				got := set.Validate(s.object)
				if !slices.Equal(pointers(got), s.Want) {
					t.Errorf("%s, %s: got %q, want %q\n%v", minor, s.Name, pointers(got), s.Want, got)
				}
				if after, _ := json.Marshal(s.object); string(after) != string(before) {
					t.Errorf("%s: the object was changed", s.Name)
				}
			}
		}
	}
}
