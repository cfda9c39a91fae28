package diff

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archipel/internal/finding"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// outputs are all forms of a report.
func outputs(t *testing.T, r *Report) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"text":     func(b *bytes.Buffer) error { return Text(b, r, false) },
		"json":     func(b *bytes.Buffer) error { return JSON(b, r) },
		"markdown": func(b *bytes.Buffer) error { return Markdown(b, r) },
		"github":   func(b *bytes.Buffer) error { return GitHub(b, r) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		out[name] = b.String()
	}
	return out
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got:\n%s\nwant:\n%s", name, got, want)
	}
}

// sample has a change of each kind, and text that wants to be more than text.
func sample() *Report {
	c := NewCollector()
	for _, site := range []string{"site-c", "site-a", "site-b"} {
		at := []string{site}
		c.Add([]Change{
			{Layer: Kubernetes, Action: Changed, Subject: "Deployment whoami/whoami", Sites: at, Owner: "HelmRelease flux-system/whoami", Notes: []string{"its pods are replaced"}, Fields: []Field{
				{Path: "spec.replicas", Kind: FieldChanged, Old: int64(2), New: int64(3)},
				{Path: "spec.template.spec.containers[whoami].args[]", Kind: FieldAdded, New: "--verbose"},
				{Path: "spec.template.spec.containers[whoami].env[DB_PASSWORD].value", Kind: FieldChanged, Masked: true},
			}, Source: finding.Position{File: "kubernetes/" + site + ".yaml", Line: 3}},
			{Layer: Kubernetes, Action: Changed, Subject: "Service a/b", Sites: at, Quiet: true, Notes: []string{"labels and annotations that follow: helm.sh/chart"}},
			{Layer: Kubernetes, Action: Changed, Subject: "Service a/c", Sites: at, Quiet: true, Notes: []string{"labels and annotations that follow: helm.sh/chart"}},
		})
		c.Skip([]Skipped{{Sides: []string{"main"}, Code: "chart-unavailable", Object: "HelmRelease flux-system/cilium", Reason: "the chart is not in the cache", Sites: at}})
	}
	c.Add([]Change{
		{Layer: Inventory, Action: Changed, Subject: "fact cluster_id", Sites: []string{"site-b"}, Dangers: []string{"the site's identity in the mesh"}, Fields: []Field{{Path: "cluster_id", Kind: FieldChanged, Old: 2, New: 3}}},
		{Layer: Inventory, Action: Created, Subject: "node site-a-agent-3", Sites: []string{"site-a"}, Fields: []Field{{Path: "address", Kind: FieldAdded, New: "198.51.100.23"}}},
		{Layer: Kubernetes, Action: Deleted, Subject: "Namespace whoami", Sites: []string{"site-a", "site-b"}, Dangers: []string{"everything in the namespace is deleted with it"}, Notes: []string{"Kustomization whoami prunes it"}},
		{Layer: Kubernetes, Action: LeftBehind, Subject: "ConfigMap x/y", Sites: []string{"site-a"}, Notes: []string{"prune is off in Kustomization whoami"}},
		{Layer: Kubernetes, Action: Moved, Subject: "ConfigMap x/z", Sites: []string{"site-a"}, Former: "Kustomization flux-system/a", Owner: "Kustomization flux-system/b"},
		{Layer: Kubernetes, Action: Changed, Subject: clip("ConfigMap x/`</code><script>@someone|\x1b[31m"), Sites: []string{"site-a"}, Fields: []Field{
			{Path: "data[\"**a**\"]", Kind: FieldChanged, Old: "`x` | </details> @someone <!-- \x1b]0;\a", New: "a\nb\u202e"}, {Path: "order", Kind: FieldReordered, Old: []any{"a", "b"}, New: []any{"b", "a"}},
		}, More: 7},
		{Layer: Terraform, Action: Deleted, Subject: "resource null_resource.a in envs/site-a", Sites: []string{"site-a"}, Dangers: []string{"Terraform destroys it"}},
		{Layer: Ansible, Action: Changed, Subject: "role k3s", Fields: []Field{{Path: "tasks/main.yml", Kind: FieldChanged}, {Path: "defaults/main.yml", Kind: FieldAdded}}},
	})
	return c.Report("main", "working tree", []string{"site-b", "site-a", "site-c"}, 9)
}

func TestOutputs(t *testing.T) {
	r := sample()
	for name, out := range outputs(t, r) {
		golden(t, name+".golden", out)
		if name == "json" && !json.Valid([]byte(out)) {
			t.Error("not JSON")
		}
		if again := outputs(t, sample())[name]; again != out {
			t.Errorf("%s differs from run to run", name)
		}
		if strings.ContainsAny(out, "\x1b\a\u202e") {
			t.Errorf("%s holds control characters", name)
		}
	}
	for _, name := range []string{"markdown", "github"} {
		out := outputs(t, r)[name]
		for _, bad := range []string{"<script", "@someone", "`</code>", "**a**", "<!-- \\"} {
			if strings.Contains(out, bad) {
				t.Errorf("%s holds %q", name, bad)
			}
		}
		if opened, closed := strings.Count(out, "<details"), strings.Count(out, "</details>"); opened != closed {
			t.Errorf("%s opens %d blocks and closes %d", name, opened, closed)
		}
	}
	var b bytes.Buffer
	if err := Text(&b, r, true); err != nil || !strings.Contains(b.String(), "\x1b[31mdanger:\x1b[0m") {
		t.Errorf("no colours: %v\n%s", err, b.String())
	}
}

func TestEmpty(t *testing.T) {
	for files, want := range map[int]string{0: "no difference", 2: "nothing changes at the sites"} {
		r := NewCollector().Report("a", "b", []string{"site-a"}, files)
		for name, out := range outputs(t, r) {
			if name != "json" && !strings.Contains(out, want) {
				t.Errorf("%s: %s", name, out)
			}
		}
	}
}

// TestCommentFits holds a comment to the bound of GitHub, whatever it holds.
func TestCommentFits(t *testing.T) {
	c := NewCollector()
	for i := range 400 {
		change := Change{Layer: Kubernetes, Action: Changed, Subject: fmt.Sprintf("ConfigMap n/%04d", i), Quiet: i%2 == 1, Sites: []string{"site-a"}, Notes: []string{fmt.Sprint("n", i)}}
		if i == 399 {
			change.Dangers = []string{"the last by name"}
		}
		for j := range 60 {
			change.Fields = append(change.Fields, Field{Path: fmt.Sprint("data.", j), Kind: FieldChanged, Old: "a", New: strings.Repeat("`|\x1b", 100)})
		}
		c.Add([]Change{change})
		c.Skip([]Skipped{{Sides: []string{"a"}, Code: "x-y", Object: fmt.Sprint(i), Reason: strings.Repeat("long ", 20), Sites: []string{"site-a"}}})
	}
	r := c.Report("a", "b", []string{"site-a"}, 1)
	for _, write := range []func(io.Writer, *Report) error{Markdown, GitHub} {
		var b strings.Builder
		if err := write(&b, r); err != nil {
			t.Fatal(err)
		}
		out := b.String()
		if len(out) > MaxComment {
			t.Errorf("%d bytes", len(out))
		}
		for _, want := range []string{"ConfigMap n/0399", "changes are not shown here", "- and ", "199 objects with only"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing", want)
			}
		}
		if opened, closed := strings.Count(out, "<details"), strings.Count(out, "</details>"); opened != closed {
			t.Errorf("%d blocks are opened and %d closed", opened, closed)
		}
	}
}
