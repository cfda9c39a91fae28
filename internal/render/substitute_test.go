package render

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSubstitute(t *testing.T) {
	variables := map[string]variable{
		"a": {value: "A"}, "empty": {}, "hidden": {value: "s", secret: true}, "sealed": {secret: true, unknown: true},
		"long": {value: strings.Repeat("x", maxReplaced+1)}, "huge": {value: strings.Repeat("x", maxValue)},
	}
	for text, want := range map[string]substituted{
		"${a} ${a}":        {text: "A A", used: []string{"a"}},
		"${empty}":         {text: "", used: []string{"empty"}},
		"${hidden}":        {text: "s", used: []string{"hidden"}, secret: true},
		"${sealed}":        {text: "${sealed}", used: []string{"sealed"}, opaque: true, secret: true},
		"${b}":             {text: "${b}", used: []string{"b"}, missing: []string{"b"}},
		"${c} ${b^^} ${c}": {text: "${c} ${B} ${c}", used: []string{"b", "c"}, missing: []string{"b", "c"}},
		"${b:-${c:-${a}}}": {text: "A", used: []string{"a", "b", "c"}},
		"${b:-${c}}":       {text: "${c}", used: []string{"b", "c"}, missing: []string{"c"}},
		"$${a} $a":         {text: "${a} $a"},
		"${a/A/B}":         {text: "B", used: []string{"a"}},
	} {
		got, err := substitute(text, variables)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got.text != want.text || strings.Join(got.used, " ") != strings.Join(want.used, " ") || strings.Join(got.missing, " ") != strings.Join(want.missing, " ") ||
			got.opaque != want.opaque || got.secret != want.secret {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
	for name, text := range map[string]string{
		"open":                        "${a",
		"nested too deep":             strings.Repeat("${a:-", maxNesting+1) + strings.Repeat("}", maxNesting+1),
		"a million levels":            strings.Repeat("${a:-", 1_000_000),
		"a variable in a replacement": "${a/A/${a}}",
		"many replacements":           strings.Repeat("${a/A/B}", maxReplacements+1),
		"long value in a replacement": "${long//x/yyyy}",
		"huge value, many times":      strings.Repeat("${huge}", maxSubstituted/maxValue+1),
		"more missing than looked for": func() string {
			var all strings.Builder
			for i := range maxMissing + 1 {
				all.WriteString("${m" + strings.Repeat("x", i) + "}")
			}
			return all.String()
		}(),
	} {
		if got, err := substitute(text, variables); err == nil {
			t.Errorf("%s: got %.100q", name, got.text)
		}
	}
}

func FuzzSubstitute(f *testing.F) {
	for _, text := range []string{"", "$", "${", "${}", "${a}", "$${a}", "${a:-${b}}", "${a//b/c}", "${a:1:2}", "${#a}", "${a##*/}", "${a%%.*}", "${a,,}", "\\${a}", "${a:?x}", "${a/${b}/c}", "a: ${b}\n"} {
		f.Add(text, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		if strings.Contains(text, "\x00") || !utf8.ValidString(text) {
			t.Skip() // no YAML that kustomize wrote
		}
		got, err := substitute(text, map[string]variable{"a": {value: value}, "b": {secret: true, unknown: true}})
		if err != nil {
			return
		}
		if !strings.Contains(text, "$") && got.text != text {
			t.Errorf("%q became %q", text, got.text)
		}
		again, err := substitute(text, map[string]variable{"a": {value: value}, "b": {secret: true, unknown: true}})
		if err != nil || again.text != got.text {
			t.Errorf("%q gives %q, then %q, %v", text, got.text, again.text, err)
		}
	})
}
