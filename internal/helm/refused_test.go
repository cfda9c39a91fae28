package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"archipel/internal/chart"
)

// small is a chart with one template.
func small(template string, more ...chart.File) []chart.File {
	return append([]chart.File{
		{Name: "Chart.yaml", Data: []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n")},
		{Name: "templates/a.yaml", Data: []byte(template)},
	}, more...)
}

func file(name, text string) chart.File { return chart.File{Name: name, Data: []byte(text)} }

func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		files  []chart.File
		values string
		want   Error // Message is a part of it
	}{
		"syntax":     {small("a: 1\nb: {{ if }}"), "", Error{BadTemplate, "c/templates/a.yaml", 2, "missing value for if"}},
		"unknown":    {small("{{ nothing 1 }}"), "", Error{BadTemplate, "c/templates/a.yaml", 1, `function "nothing" not defined`}},
		"env":        {small(`{{ env "HOME" }}`), "", Error{BadTemplate, "c/templates/a.yaml", 1, `function "env" not defined`}},
		"guard":      {small(`{{ archipel_tick }}`), "", Error{BadTemplate, "c/templates/a.yaml", 1, "not defined"}},
		"fail":       {small("\n{{ fail \"no\\nway\" }}"), "", Error{BadTemplate, "c/templates/a.yaml", 2, "no way"}},
		"required":   {small(`{{ required "set .Values.a" .Values.a }}`), "", Error{BadTemplate, "c/templates/a.yaml", 1, "set .Values.a"}},
		"nil":        {small("a: {{ .Values.a.b.c }}"), "", Error{BadTemplate, "c/templates/a.yaml", 1, "nil pointer evaluating interface {}.b"}},
		"no include": {small(`{{ include "none" . }}`), "", Error{BadTemplate, "c/templates/a.yaml", 1, `no template "none"`}},
		"in an include": {small("\n\n{{ include \"x\" . }}", file("templates/_x.tpl", "{{ define \"x\" }}\n{{ .Values.a.b }}{{ end }}")), "",
			Error{BadTemplate, "c/templates/a.yaml", 3, "c/templates/_x.tpl:2:"}},
		"in a tpl":    {small(`{{ tpl "{{ .x.y.z }}" . }}`), "", Error{BadTemplate, "c/templates/a.yaml", 1, "nil pointer"}},
		"mustToJson":  {small(`{{ mustToJson (dict "a" now.String.x) }}`), "", Error{BadTemplate, "c/templates/a.yaml", 1, ""}},
		"no Chart":    {[]chart.File{file("values.yaml", "")}, "", Error{BadChart, "", 0, "Chart.yaml file is missing"}},
		"bad Chart":   {[]chart.File{file("Chart.yaml", "a: [")}, "", Error{BadChart, "", 0, "cannot load Chart.yaml"}},
		"bad values":  {small("", file("values.yaml", "- a")), "", Error{BadChart, "", 0, "cannot load values.yaml"}},
		"no version":  {[]chart.File{file("Chart.yaml", "apiVersion: v2\nname: c\n")}, "", Error{BadChart, "", 0, "version"}},
		"kubeVersion": {append(small("a: b")[1:], file("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\nkubeVersion: <1.20.0\n")), "", Error{BadChart, "Chart.yaml", 0, "asks for Kubernetes <1.20.0, and the site runs v1.36.4+k3s1"}},
		"schema": {small("a: b", file("values.schema.json", `{"type":"object","required":["b"],"properties":{"a":{"type":"string","pattern":"^x"}}}`)), "a: canary",
			Error{BadValues, "c/values.schema.json", 0, "a must match ^x"}},
		"schema of a subchart": {small("a: b", file("charts/s/Chart.yaml", "apiVersion: v2\nname: s\nversion: 1.0.0\n"), file("charts/s/values.schema.json", `{"properties":{"num":{"type":"integer"}}}`)),
			"s: {num: x}", Error{BadValues, "c/values.schema.json", 0, "s.num: num must be an integer"}},
		"subchart no map": {small("a: b", file("charts/s/Chart.yaml", "apiVersion: v2\nname: s\nversion: 1.0.0\n")), "s: 1", Error{BadValues, "", 0, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Load(test.files)
			if err == nil {
				_, err = c.Render(context.Background(), Release{Name: "r", Namespace: "n", Values: values(t, test.values), KubeVersion: "v1.36.4+k3s1"})
			}
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			if got.Kind != test.want.Kind || got.File != test.want.File || got.Line != test.want.Line || !strings.Contains(got.Message, test.want.Message) {
				t.Errorf("got %+v\nwant %+v", *got, test.want)
			}
			if strings.Contains(got.Message, "\n") || strings.Contains(got.Message, "canary") {
				t.Errorf("the message %q", got.Message)
			}
		})
	}
}

// TestHostile renders what would take all time or memory, or end the process.
func TestHostile(t *testing.T) {
	doubled := `{{ $x := "0123456789" }}{{ range until 60 }}{{ $x = print $x $x }}{{ end }}`
	for name, test := range map[string]struct{ template, says string }{
		"endless loop":        {`{{ range 1000000000000 }}{{ end }}`, "steps"},
		"loop in loop":        {`{{ range until 900 }}{{ range until 900 }}{{ end }}{{ end }}`, "steps"},
		"recursion":           {`{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}`, "deep"},
		"recursive include":   {`{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}`, "deep"},
		"two includes":        {`{{ define "x" }}{{ include "y" . }}{{ end }}{{ define "y" }}{{ template "x" . }}{{ end }}{{ include "x" . }}`, ""},
		"recursive tpl":       {`{{ tpl .Values.t . }}`, "deep"},
		"doubled text":        {doubled, "MiB"},
		"doubled list":        {`{{ $x := list 1 }}{{ range until 60 }}{{ $x = concat $x $x }}{{ end }}`, "MiB"},
		"doubled value":       {`{{ $x := list 1 }}{{ range until 60 }}{{ $x = list $x $x }}{{ end }}{{ $x }}`, "parts"},
		"doubled value, yaml": {`{{ $x := dict }}{{ range until 60 }}{{ $x = dict "a" $x "b" $x }}{{ end }}{{ toYaml $x }}`, "parts"},
		"doubled value, json": {`{{ $x := dict }}{{ range until 60 }}{{ $x = dict "a" $x "b" $x }}{{ end }}{{ $x | toJson }}`, "parts"},
		"in itself":           {`{{ $x := dict }}{{ $_ := set $x "x" $x }}{{ $x }}`, "contains itself"},
		"in itself, yaml":     {`{{ $x := dict }}{{ $_ := set $x "x" $x }}{{ toYaml $x }}`, "contains itself"},
		"in itself, printf":   {`{{ $x := dict }}{{ $_ := set $x "x" $x }}{{ printf "%v" $x }}`, "contains itself"},
		"in itself, copy":     {`{{ $x := dict }}{{ $_ := set $x "x" $x }}{{ $_ := deepCopy $x }}`, "contains itself"},
		"in itself, join":     {`{{ $x := dict }}{{ $_ := set $x "x" $x }}{{ join "," (list $x) }}`, "contains itself"},
		"in itself, int":      {`{{ $x := dict }}{{ $_ := set $x "x" $x }}{{ int $x }}`, "contains itself"},
		"in itself, add":      {`{{ $x := dict }}{{ $_ := set $x "x" $x }}{{ add 1 $x }}`, "contains itself"},
		"in itself, decimal":  {`{{ $x := dict }}{{ $_ := set $x "x" $x }}{{ toDecimal $x }}`, "contains itself"},
		"uniq":                {`{{ $x := list }}{{ range until 100000 }}{{ $x = append $x . }}{{ end }}{{ uniq $x }}`, "MiB"},
		"in itself, if":       {`{{ $x := dict }}{{ $_ := set $x "x" $x }}{{ if true }}{{ with $x }}{{ . }}{{ end }}{{ end }}`, "contains itself"},
		"repeat":              {`{{ repeat 1000000000000 "x" }}`, "MiB"},
		"until":               {`{{ until 1000000000000 }}`, "MiB"},
		"untilStep":           {`{{ untilStep 1000000000000 0 -1 }}`, "MiB"},
		"seq":                 {`{{ seq 1000000000000 }}`, "MiB"},
		"indent":              {`{{ indent 1000000000000 "x" }}`, "MiB"},
		"negative indent":     {`{{ indent -1 "x" }}`, "negative"},
		"replace":             {`{{ $x := repeat 100000 "a" }}{{ replace "a" $x $x }}`, "MiB"},
		"regexReplaceAll":     {`{{ $x := repeat 100000 "a" }}{{ regexReplaceAll "a" $x $x }}`, "MiB"},
		"join":                {`{{ join (repeat 100000 "a") (until 100000) }}`, "MiB"},
		"encoded":             {`{{ $x := "0123456789" }}{{ range until 200 }}{{ $x = b64enc $x }}{{ end }}`, "MiB"},
		"random":              {`{{ randAlphaNum 1000000000000 }}`, "MiB"},
		"much output":         {`{{ range until 5000 }}{{ repeat 1000000 "x" }}{{ end }}`, "MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			c := load(t, small(test.template))
			if c.templates.budget != (budget{maxBytes, maxTicks, maxDepth}) {
				t.Fatal("there is no budget")
			}
			c.templates.budget = budget{maxBytes / 8, maxTicks / 50, maxDepth / 10} // the same, but sooner
			_, err := c.Render(context.Background(), Release{Name: "r", Values: map[string]any{"t": "{{ tpl .Values.t . }}"}})
			var got *Error
			if !errors.As(err, &got) || got.Kind != BadTemplate || !strings.Contains(got.Message, test.says) || len(got.Message) > 1000 {
				t.Errorf("got %.500v", err)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := load(t, small(`{{ range until 100000 }}{{ end }}`))
	if _, err := c.Render(ctx, Release{Name: "r"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// packed is an archive.
func packed(t *testing.T, files ...chart.File) string {
	t.Helper()
	var data bytes.Buffer
	zipped := gzip.NewWriter(&data)
	archive := tar.NewWriter(zipped)
	for _, f := range files {
		if err := archive.WriteHeader(&tar.Header{Name: f.Name, Mode: 0o644, Size: int64(len(f.Data))}); err != nil {
			t.Fatal(err)
		}
		archive.Write(f.Data)
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return data.String()
}

func TestArchivesInArchives(t *testing.T) {
	leaf := packed(t, file("leaf/Chart.yaml", "apiVersion: v2\nname: leaf\nversion: 1.0.0\n"), file("leaf/templates/l.yaml", "l: {{ .Chart.Name }}"))
	sub := packed(t, file("sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n"), file("sub/charts/leaf-1.0.0.tgz", leaf))
	same(t, small("a: b", file("charts/sub-1.0.0.tgz", sub), file("charts/_ignored.tgz", "x")), Release{Name: "r", KubeVersion: "v1.36.4"})

	zeros := file("x/zeros", string(make([]byte, 5<<20)))
	bomb := make([]chart.File, 0, 25)
	bomb = append(bomb, file("x/Chart.yaml", "apiVersion: v2\nname: x\nversion: 1.0.0\n"))
	for i := range 10 {
		zeros.Name = fmt.Sprint("x/zeros", i)
		bomb = append(bomb, zeros)
	}
	one := packed(t, bomb...)
	for name, files := range map[string][]chart.File{
		"large":      small("a: b", file("charts/x.tgz", one), file("charts/y.tgz", one), file("charts/z.tgz", one)),
		"no archive": small("a: b", file("charts/x.tgz", "x")),
		"outside":    small("a: b", file("charts/x.tgz", packed(t, file("x/../../y", "z")))),
	} {
		var got *Error
		if _, err := Load(files); !errors.As(err, &got) || got.Kind != BadChart {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestUnsure has a chart call what nobody can know: the output is the same each time, and
// says of which files that is no output Helm would give.
func TestUnsure(t *testing.T) {
	c := load(t, small("a: 1",
		file("templates/b.yaml", `{{ $ca := genCA "ca" 1 }}{{ $c := genSignedCert "x" (list) (list "y") 1 $ca }}{{ $s := genSelfSignedCert "x" nil nil 1 }}{{ $c.Cert }}{{ $c.Key | b64enc }}{{ $s.Cert }}{{ buildCustomCert (b64enc $ca.Cert) (b64enc $ca.Key) }}`),
		file("templates/c.yaml", `{{ randAlphaNum 5 }} {{ randBytes 3 }} {{ uuidv4 }} {{ now | date "2006" }} {{ date "2006" "x" }} {{ htpasswd "u" "p" }} {{ lookup "v1" "Secret" "a" "b" }} {{ randInt 3 9 }}`),
		file("templates/d.yaml", `{{ date "2006" 0 }} {{ include "r" . }}`), file("templates/_r.tpl", `{{ define "r" }}{{ shuffle "abc" }}{{ end }}`),
	))
	var first *Rendered
	for range 3 {
		got, err := c.Render(context.Background(), Release{Name: "r"})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
		}
		if !reflect.DeepEqual(got, first) {
			t.Errorf("got %+v, before %+v", got, first)
		}
	}
	want := map[string][]string{
		"c/templates/a.yaml": nil,
		"c/templates/b.yaml": {"buildCustomCert", "genCA", "genSelfSignedCert", "genSignedCert"},
		"c/templates/c.yaml": {"date", "htpasswd", "lookup", "now", "randAlphaNum", "randBytes", "randInt", "uuidv4"},
		"c/templates/d.yaml": {"shuffle"},
	}
	for _, f := range first.Files {
		if !reflect.DeepEqual(f.Unsure, want[f.Path]) {
			t.Errorf("%s: got %q, want %q", f.Path, f.Unsure, want[f.Path])
		}
	}
	if len(first.Unsure) != 13 {
		t.Errorf("got %q", first.Unsure)
	}
}

func TestIgnore(t *testing.T) {
	files := []chart.File{
		file(".helmignore", "# comment\n*.bak\ndocs/\n/only-here\n"),
		file("Chart.yaml", ""), file("a.bak", ""), file("docs/deep/x", ""), file("only-here", ""), file("sub/only-here", ""),
		file("templates/.hidden", ""), file("templates/a.yaml", ""),
	}
	left, err := Ignore(files)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range left {
		names = append(names, f.Name)
	}
	if got, want := strings.Join(names, " "), ".helmignore Chart.yaml sub/only-here templates/a.yaml"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What a schema refers to outside itself is neither fetched nor read, and refuses nothing.
func TestSchemaElsewhere(t *testing.T) {
	for _, reference := range []string{"https://127.0.0.1:1/x", "file:///etc/passwd", "other.json"} {
		c, err := Load(small("a: b", file("values.schema.json", `{"required":["b"],"properties":{"a":{"$ref":"`+reference+`"}}}`)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Render(context.Background(), Release{Name: "r", Namespace: "n", Values: values(t, "{a: 1, b: 2}"), KubeVersion: "v1.36.4+k3s1"}); err != nil {
			t.Errorf("%s: %v", reference, err)
		}
		if _, err := c.Render(context.Background(), Release{Name: "r", Namespace: "n", Values: values(t, "a: 1"), KubeVersion: "v1.36.4+k3s1"}); err == nil {
			t.Errorf("%s: the rest of the schema is not held", reference)
		}
	}
}
