package diff

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
)

func parseYAML(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

func differ() *fieldDiffer { return &fieldDiffer{noise: map[string]bool{}} }

// lines are fields as a person reads them.
func lines(fields []Field) []string {
	var out []string
	p := textPrinter{}
	for _, f := range fields {
		out = append(out, p.field(f))
	}
	return out
}

func TestFields(t *testing.T) {
	for name, test := range map[string]struct {
		before, after string
		want          []string
	}{
		"same":             {"a: 1", "a: 1.0", nil},
		"changed":          {"spec: {replicas: 2}", "spec: {replicas: 3}", []string{"spec.replicas: 2 → 3"}},
		"text and number":  {"a: '1'", "a: 1", []string{`a: "1" → 1`}},
		"added":            {"a: {}", "a: {b: {c: [1]}}", []string{`+ a.b: {"c":[1]}`}},
		"removed":          {"a: x\nb: y", "b: y", []string{"- a: x"}},
		"type":             {"a: [1]", "a: {b: 1}", []string{`a: [1] → {"b":1}`}},
		"odd keys":         {`{"a.b/c": 1, "": 1}`, `{"a.b/c": 2, "": 2}`, []string{`[""]: 1 → 2`, `["a.b/c"]: 1 → 2`}},
		"by name":          {"l: [{name: a, v: 1}, {name: b, v: 1}]", "l: [{name: b, v: 2}, {name: c}]", []string{`- l[a]: {"name":"a","v":1}`, "l[b].v: 1 → 2", `+ l[c]: {"name":"c"}`}},
		"order of names":   {"l: [{name: a}, {name: b}]", "l: [{name: b}, {name: a}]", nil},
		"by port":          {"l: [{port: 80, protocol: TCP}, {port: 80, protocol: UDP, x: 1}]", "l: [{port: 80, protocol: TCP}, {port: 80, protocol: UDP, x: 2}]", []string{"l[80/UDP].x: 1 → 2"}},
		"by mount path":    {"l: [{mountPath: /a, readOnly: false}]", "l: [{mountPath: /a, readOnly: true}]", []string{"l[/a].readOnly: false → true"}},
		"same name twice":  {"l: [{name: a, v: 1}, {name: a, v: 2}]", "l: [{name: a, v: 1}, {name: a, v: 3}]", []string{"l[1].v: 2 → 3"}},
		"by position":      {"l: [{a: 1}, {b: 1}, {c: 1}]", "l: [{a: 1}, {c: 1}]", []string{`- l[1]: {"b":1}`}},
		"to empty":         {"l: [{name: a}]", "l: []", []string{`- l[a]: {"name":"a"}`}},
		"scalars":          {"l: [a, b, b]", "l: [b, c]", []string{"- l[]: a", "- l[]: b", "+ l[]: c"}},
		"flags":            {"l: [--a=1, --b]", "l: [--a=2, --b]", []string{"l[--a]: --a=1 → --a=2"}},
		"order of scalars": {"l: [a, b]", "l: [b, a]", []string{`l: the same in another order, ["b","a"]`}},
		"number as text":   {"l: [1]", "l: ['1']", []string{"- l[]: 1", `+ l[]: "1"`}},
		"null":             {"a: null", "a: 1", []string{"a: null → 1"}},
		"yaml in text":     {"data: {v.yaml: \"a:\\n  b: 1\\nc: 2\\n\"}", "data: {v.yaml: \"a:\\n  b: 3\\nc: 2\\n\"}", []string{`data["v.yaml"] > a.b: 1 → 3`}},
		"json in text":     {`data: {v: '{"a": {"b": [1]}}'}`, `data: {v: '{"a": {"b": [2]}}'}`, []string{"- data.v > a.b[]: 1", "+ data.v > a.b[]: 2"}},
		"comment in text":  {"data: {v: \"a: 1\\n\"}", "data: {v: \"# x\\na: 1\\n\"}", []string{`data.v[line 1]: "" → # x`}},
		"lines":            {"data: {v: \"a\\nb\\nc\\n\"}", "data: {v: \"a\\nx\\nc\\n\"}", []string{"data.v[line 2]: b → x"}},
		"control":          {`a: "x"`, `a: "x\x1b[31m\u202e"`, []string{`a: x → "x\x1b[31m\u202e"`}},
		"control in key":   {"{}", `"\x1b]0;a\a": 1`, []string{`+ ["\x1b]0;a\a"]: 1`}},
	} {
		d := differ()
		d.compare(nil, parseYAML(t, test.before), parseYAML(t, test.after))
		sortFields(d.fields)
		if got := lines(d.fields); !slices.Equal(got, test.want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, test.want)
		}
	}
}

func TestNoise(t *testing.T) {
	d := differ()
	d.compare(nil,
		parseYAML(t, "metadata: {labels: {helm.sh/chart: a-1, app: x}, annotations: {checksum/config: '1'}}"),
		parseYAML(t, "metadata: {labels: {helm.sh/chart: a-2, app: z, app.kubernetes.io/version: '2'}}"))
	if got := lines(d.fields); !slices.Equal(got, []string{"metadata.labels.app: x → z"}) || len(d.noise) != 3 || d.inPods {
		t.Errorf("%q, noise %v, in pods %v", got, d.noise, d.inPods)
	}
	d = differ()
	d.compare(nil, parseYAML(t, "spec: {template: {metadata: {annotations: {checksum/config: '1'}}}}"), parseYAML(t, "spec: {template: {metadata: {annotations: {checksum/config: '2'}}}}"))
	if len(d.fields) > 0 || !d.inPods {
		t.Errorf("%+v", d)
	}
}

func TestBounds(t *testing.T) {
	many := map[string]any{}
	for i := range maxFields + 50 {
		many[fmt.Sprint("k", i)] = "v"
	}
	d := differ()
	d.compare(nil, map[string]any{}, many)
	if len(d.fields) != maxFields || d.more != 50 {
		t.Errorf("%d fields and %d more", len(d.fields), d.more)
	}
	var a, b any = "x", "y"
	for range 10 * maxDepth {
		a, b = map[string]any{"k": a}, map[string]any{"k": b}
	}
	d = differ()
	d.compare(nil, a, b)
	if len(d.fields) != 1 || len(d.fields[0].Path) > 1000 {
		t.Errorf("deep: %+v", d.fields)
	}
	d = differ()
	d.compare(nil, map[string]any{"k": ""}, map[string]any{"k": strings.Repeat("é", maxValue)})
	if s := d.fields[0].New.(string); len(s) > maxValue+40 || !strings.HasSuffix(s, "(4096 bytes)") {
		t.Errorf("large value of %d bytes: %s", len(s), s[len(s)-30:])
	}
}

const canary = "CANARY-4711"

// TestMask shows each form of a secret on both sides and looks for it in all outputs.
func TestMask(t *testing.T) {
	secret := func(text string) bool { return strings.Contains(text, "from-secret") }
	for name, text := range map[string]string{
		"data":               "kind: Secret\ndata: {a: VALUE}",
		"string data":        "kind: Secret\nstringData: {a.yaml: \"x: VALUE\\ny: 2\\n\"}",
		"last applied":       "kind: Secret\nmetadata: {annotations: {last: '{\"data\":{\"a\":\"VALUE\"}}'}}",
		"whole data":         "kind: Secret\nVARIANT: {data: 1}\ndata: {a: VALUE}",
		"password":           "kind: X\nspec: {adminPassword: VALUE}",
		"nested in new":      "kind: X\nspec: {VARIANT: {list: [{password: VALUE}]}}",
		"environment":        "kind: Pod\nspec: {containers: [{name: a, env: [{name: DB_PASSWORD, value: VALUE}]}]}",
		"new environment":    "kind: Pod\nspec: {containers: [{name: VARIANT, env: [{name: DB_PASSWORD, value: VALUE}]}]}",
		"argument":           "kind: Pod\nspec: {args: ['--password=VALUE']}",
		"url":                "kind: X\nspec: {url: 'https://me:VALUE@example.org/'}",
		"in yaml":            "kind: ConfigMap\ndata: {a: \"token: VALUE\\nb: 1\\n\"}",
		"in lines":           "kind: ConfigMap\ndata: {a: \"[x]\\npassword = VALUE\\n\"}",
		"from a secret":      "kind: ConfigMap\ndata: {a: 'from-secret VALUE'}",
		"from a secret, map": "kind: ConfigMap\nVARIANT: {a: 'from-secret VALUE'}",
		"sops":               "kind: X\nspec: {a: 'ENC[AES256_GCM,data:VALUE]'}",
		"age":                "kind: X\nspec: {a: 'AGE-SECRET-KEY-VALUE'}",
	} {
		at := func(n string) map[string]any {
			return parseYAML(t, strings.NewReplacer("VALUE", canary+n, "VARIANT", "variant"+n).Replace(text))
		}
		before, after := at("1"), at("2")
		d := differ()
		d.mask = masker{kindSecret: before["kind"] == "Secret", secret: secret}
		d.compare(nil, before, after)
		d.compare(nil, map[string]any{}, after)
		r := &Report{Before: "a", After: "b", Sites: []string{"site-a"}, Changes: []Change{{Layer: Kubernetes, Subject: "x", Fields: d.fields, Sites: []string{"site-a"}}}}
		if len(d.fields) == 0 {
			t.Errorf("%s: no difference", name)
		}
		for format, out := range outputs(t, r) {
			if strings.Contains(out, canary) {
				t.Errorf("%s: %s shows the secret:\n%s", name, format, out)
			}
		}
	}
}

// TestNotMasked keeps the mask from hiding what only sounds secret.
func TestNotMasked(t *testing.T) {
	for _, key := range []string{"secretName", "tokenExpirationSeconds", "replicas", "passwordPolicy", "key"} {
		d := differ()
		d.compare(nil, map[string]any{key: "one"}, map[string]any{key: "two"})
		if d.fields[0].Masked {
			t.Errorf("%s is masked", key)
		}
	}
}

func FuzzFields(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a":[{"name":"x","v":1}]}`, `{"a":[{"name":"y"}]}`}, {`{"a":[1,2]}`, `{"a":[2,1,{}]}`},
		{`{"a":"k: v\n"}`, `{"a":"k: {x: y}\n"}`}, {`{"metadata":{"labels":{"chart":"1"}}}`, `{}`}, {`{"a":"x\ny"}`, `{"a":"x\nz"}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, x, y string) {
		var a, b map[string]any
		if json.Unmarshal([]byte(x), &a) != nil || json.Unmarshal([]byte(y), &b) != nil || a == nil || b == nil {
			t.Skip()
		}
		d := differ()
		d.compare(nil, a, b)
		if len(d.fields)+len(d.noise) == 0 && !reflect.DeepEqual(a, b) && !sameButOrder(a, b) {
			t.Errorf("no difference between %s and %s", x, y)
		}
		if reflect.DeepEqual(a, b) && len(d.fields)+len(d.noise) > 0 {
			t.Errorf("%s differs from itself: %+v", x, d.fields)
		}
		r := &Report{Changes: []Change{{Subject: clip(x), Fields: d.fields}}}
		for format, out := range outputs(t, r) {
			// U+FFFD in a value is a character like any other; broken UTF-8 is not.
			if !utf8.ValidString(out) || strings.ContainsFunc(out, func(r rune) bool { return r != '\n' && r != utf8.RuneError && unprintable(r) }) {
				t.Errorf("%s holds characters that are not printable: %q", format, out)
			}
		}
	})
}

// sameButOrder reports whether two values differ in the order of keyed lists only.
func sameButOrder(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for key := range x {
			if other, ok := y[key]; !ok || !sameButOrder(x[key], other) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for _, v := range x {
			if !slices.ContainsFunc(y, func(w any) bool { return sameButOrder(v, w) }) {
				return false
			}
		}
		return true
	}
	return equal(a, b)
}
