package policy

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"archipel/internal/finding"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestLoad(t *testing.T) {
	p, findings := load(`
severities:
  chart-unpinned: warning
  yaml-norway: off
  yaml-tab: "error"
ignores:
  - rule: chart-unpinned
    path: kubernetes/flux/apps/**/release.yaml
    site: site-a
    reason: follows the vendor's releases
  - {rule: yaml-tab, path: "**", reason: "generated"}
mirrors:
  helm.cilium.io: [https://mirror.example/cilium/, "https://mirror.example:8443"]
  "*":
    - https://proxy.example/v2/cache
fail-on: warning
`)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	if s := p.Severities["chart-unpinned"]; s.Level != finding.Warning || s.Position.Line != 2 || s.Position.Column != 3 {
		t.Errorf("severity %+v", s)
	}
	if s, ok := p.Severities["yaml-norway"]; !ok || s.Level != 0 {
		t.Errorf("a rule that is off: %+v", s)
	}
	if p.Severities["yaml-tab"].Level != finding.Error || p.FailOn != finding.Warning {
		t.Errorf("%+v", p)
	}
	if len(p.Ignores) != 2 || p.Ignores[0].Position.Line != 6 || p.Ignores[0].Position.Column != 5 || p.Ignores[1].Path != "**" || p.Ignores[0].Site != "site-a" {
		t.Errorf("ignores %+v", p.Ignores)
	}
	if m := p.Mirrors["helm.cilium.io"]; len(m) != 2 || m[0] != "https://mirror.example/cilium" || p.Mirrors["*"][0] != "https://proxy.example/v2/cache" {
		t.Errorf("mirrors %v", p.Mirrors)
	}
}

func TestLoadNothing(t *testing.T) {
	for _, repo := range []fstest.MapFS{{}, {File: {}}, {File: {Data: []byte("# nothing yet\n")}}, {File: {Data: []byte("severities:\nignores: []\nmirrors: {}\n")}}} {
		p, findings := Load(repo)
		if p == nil || len(findings) > 0 || len(p.Severities)+len(p.Ignores)+len(p.Mirrors) > 0 || p.FailOn != 0 {
			t.Errorf("%v: %+v %v", repo, p, findings)
		}
	}
	if p, findings := Load(fstest.MapFS{File + "/x": {}}); p == nil || len(findings) != 1 || findings[0].Rule != "file-unreadable" {
		t.Errorf("a folder: %v", findings)
	}
}

// TestRejected compares the findings of each bad policy with its golden file,
// and makes sure that nothing of what is bad takes effect.
func TestRejected(t *testing.T) {
	files, err := filepath.Glob("testdata/rejected/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			repo := fstest.MapFS{File: {Data: data}}
			p, findings := Load(repo)
			if len(findings) == 0 {
				t.Fatal("accepted")
			}
			var got bytes.Buffer
			if err := finding.Text(&got, repo, findings, false); err != nil {
				t.Fatal(err)
			}
			for _, f := range findings {
				if f.Position.Line == 0 || f.Position.Column == 0 || f.Fix == "" {
					t.Errorf("without a place or a fix: %+v", f)
				}
			}
			if bytes.Contains(got.Bytes(), []byte("CANARY")) {
				t.Error("the findings show a secret")
			}
			if len(p.Severities)+len(p.Ignores)+len(p.Mirrors["bad.example"]) > 0 || p.FailOn != 0 {
				t.Errorf("took effect: %+v", p)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("got:\n%s\nwant:\n%s", got.Bytes(), want)
			}
		})
	}
}

func TestIgnoreMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, path string
		want          bool
	}{
		{"a/b.yaml", "a/b.yaml", true},
		{"a/b.yaml", "a/b.yml", false},
		{"a/*.yaml", "a/b.yaml", true},
		{"a/*.yaml", "a/c/b.yaml", false},
		{"a/**/b.yaml", "a/b.yaml", true},
		{"a/**/b.yaml", "a/x/y/b.yaml", true},
		{"a/**/b.yaml", "a/x/y/c.yaml", false},
		{"**", "a/x/y/c.yaml", true},
		{"**/c.yaml", "c.yaml", true},
		{"a/**", "a/x/y", true},
		{"a/**", "b/x/y", false},
		{"**/x/**/y", "a/x/b/y", true},
		{"**/x/**/y", "x/y", true},
		{"**/x/**/y", "x/y/z", false},
		{"a/?/[bc]", "a/x/c", true},
		{"a", "a/b", false},
		{"a/b", "a", false},
		{strings.Repeat("**/", 500) + "b", strings.Repeat("a/", 500), false},
	} {
		i := Ignore{Rule: "rule-odd", Path: test.pattern}
		if got := i.Matches("rule-odd", test.path, ""); got != test.want {
			t.Errorf("%s covers %s: %v", test.pattern, test.path, got)
		}
	}
	everywhere, atOne := Ignore{Rule: "rule-odd", Path: "**"}, Ignore{Rule: "rule-odd", Path: "**", Site: "site-a"}
	for _, test := range []struct {
		ignore     Ignore
		rule, site string
		want       bool
	}{
		{everywhere, "rule-odd", "site-a", true},
		{everywhere, "rule-odd", "", true},
		{everywhere, "rule-other", "site-a", false},
		{atOne, "rule-odd", "site-a", true},
		{atOne, "rule-odd", "site-b", false},
		{atOne, "rule-odd", "", false},
	} {
		if got := test.ignore.Matches(test.rule, "f.yaml", test.site); got != test.want {
			t.Errorf("%+v", test)
		}
	}
}

func TestUnknown(t *testing.T) {
	p, _ := load("severities:\n  rule-gone: off\n  rule-there: off\nignores:\n  - {rule: rule-lost, path: a, reason: b}\n")
	findings := p.Unknown(func(rule string) bool { return rule == "rule-there" })
	if len(findings) != 2 || findings[0].Position.Line != 2 || findings[1].Position.Line != 5 || findings[0].Rule != "policy-rule-unknown" {
		t.Errorf("%+v", findings)
	}
}

// FuzzLoad looks for panics, and for findings without a place.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/rejected/*.yaml")
	for _, file := range files {
		data, _ := os.ReadFile(file)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, findings := Load(fstest.MapFS{File: {Data: data}})
		for _, i := range p.Ignores {
			if i.Reason == "" || i.Rule == "" || i.Path == "" || i.Position.Line == 0 {
				t.Errorf("incomplete ignore %+v", i)
			}
		}
		for _, f := range findings {
			if f.Position.File != File || f.Message == "" {
				t.Errorf("%+v", f)
			}
		}
	})
}

func load(text string) (*Policy, []finding.Finding) {
	return Load(fstest.MapFS{File: {Data: []byte(strings.TrimPrefix(text, "\n"))}})
}
