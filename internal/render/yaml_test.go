package render

import (
	"encoding/json"
	"strings"
	"testing"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// Every reader of YAML must get back what was written.
func comesBack(t *testing.T, object map[string]any) {
	t.Helper()
	text := YAML(object)
	want, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	kubernetes, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var read any
	if err := yamlv3.Unmarshal(text, &read); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	other, err := json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range [][]byte{kubernetes, other} {
		if string(got) != string(want) {
			t.Fatalf("came back as\n%s\nwant\n%s\nwritten as\n%s", got, want, text)
		}
	}
}

func TestYAML(t *testing.T) {
	comesBack(t, map[string]any{
		"text": "plain", "words": "some words, and (more)", "colon": "a: b", "hash": "a #b", "empty": "", "space": " a ", "dash": "- a", "star": "*a",
		"yes": "yes", "number": "12", "float": "1e3", "hex": "0x1f", "octal": "0o14", "sexagesimal": "1:30", "date": "2026-11-24", "null": "null", "dots": "...", "merge": "<<",
		"y": "y", "key: odd": true, "on": false, "nothing": nil, "int": int64(-3), "real": 1.5, "large": 1e30,
		"lines": "a\nb\n", "no end": "a\nb", "ends": "a\n\n\n", "only ends": "\n\n", "indented": "  a\nb", "tab": "a\tb\n", "carriage": "a\r\nb\n", "trailing": "a \nb\n",
		"empty map": map[string]any{}, "empty list": []any{}, "unicode": "é\u2028\u0085\ufeff😀\u200b\x00\x7f", "quotes": `"'\`,
		"list": []any{"a", int64(1), map[string]any{"b": []any{"c"}, "d": "e\nf"}, []any{[]any{"x", "y"}, "z"}, map[string]any{}, []any{}},
		"---":  "...", "document": "---\na: b\n", "percent": "%YAML", "at": "@a", "tick": "`a`",
	})
}

func FuzzYAML(f *testing.F) {
	for _, text := range []string{"", "a", "a\nb", "yes", "1_000", "~", "- a\n", " \n", "a:\n", "\t", "0b1", "1.", ".5", "+1", "=", "a\u0085b"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, key, text string) {
		key, text = strings.ToValidUTF8(key, ""), strings.ToValidUTF8(text, "")
		comesBack(t, map[string]any{"a": text, "b": []any{text, map[string]any{key: text, "z" + key: []any{text}}}})
	})
}
