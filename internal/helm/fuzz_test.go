package helm

import (
	"context"
	"errors"
	"testing"

	"archipel/internal/chart"
)

// FuzzRender has templates and values that are not of good will: the process survives, and
// what is refused is refused as an Error.
func FuzzRender(f *testing.F) {
	f.Add("a: {{ .Values.a }}", "a: 1", "{{ define \"x\" }}{{ . }}{{ end }}", "{}")
	f.Add(`{{ tpl .Values.a . }}{{ include "x" . }}`, "a: '{{ . }}'", `{{ define "x" }}{{ toYaml . }}{{ end }}`, `{"type":"object"}`)
	f.Add(`{{ range $k, $v := .Values }}{{ $_ := set $ $k $ }}{{ end }}{{ $ | toJson }}`, "a: {b: c}", "", `{"$ref":"#"}`)
	f.Add("---\nkind: List\napiVersion: v1\nitems: [{kind: ConfigMap, apiVersion: v1, metadata: {name: a}}, null]\n---\na: &a [*a]", "", "", "")
	f.Add(`{{ printf "%[1]*d" 1000000000 1 }}{{ regexReplaceAll "(" "a" "b" }}{{ mustToJson now }}{{ index .Files "x" }}`, "[", "", "[")
	f.Fuzz(func(t *testing.T, template, values, helper, schema string) {
		c, err := Load(small(template, file("values.yaml", values), file("templates/_h.tpl", helper), file("values.schema.json", schema)))
		var refused *Error
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			return
		}
		rendered, err := c.Render(context.Background(), Release{Name: "r", Namespace: "n", KubeVersion: "v1.36.4"})
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			return
		}
		var p Parser
		for _, file := range rendered.Files {
			if _, err := p.Documents(file); err != nil && !errors.As(err, &refused) {
				t.Fatal(err)
			}
			if _, err := p.CRDs(file); err != nil && !errors.As(err, &refused) {
				t.Fatal(err)
			}
		}
	})
}

// FuzzLoad has files of any name in a chart.
func FuzzLoad(f *testing.F) {
	f.Add("Chart.yaml", "name: c\nversion: 1.0.0\napiVersion: v2\n", "charts/x/Chart.yaml", "x")
	f.Add("requirements.yaml", "dependencies: [null]", "Chart.lock", "dependencies: [{name: x}]")
	f.Add("Chart.yaml", "name: c\nversion: 1.0.0\ndependencies: [{name: c, version: '*', alias: d, import-values: [1, {child: 2}]}]", "charts/a.tgz", "\x1f\x8b")
	f.Fuzz(func(t *testing.T, first, a, second, b string) {
		files := []chart.File{file("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n"), file(first, a), file(second, b)}
		var refused *Error
		kept, err := Ignore(files)
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		c, err := Load(kept)
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			return
		}
		c.Missing()
		if _, err := c.With("2.0.0", nil).Render(context.Background(), Release{Name: "r"}); err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
	})
}
