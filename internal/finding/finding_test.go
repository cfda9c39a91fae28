package finding

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func samples() (fstest.MapFS, []Finding) {
	repo := fstest.MapFS{
		"apps/release.yaml":      {Data: []byte("a: 1\nspec:\n      version: \"*\"\n")},
		"sites/é.yml":            {Data: []byte("clé: \tvaleur\r\nevil: \x1b[31mred\u202e\n" + strings.Repeat("long ", 60) + "end: here\n")},
		"sites/secrets.sops.yml": {Data: []byte("token: CANARY\n")},
		"sites/main.yml":         {Data: []byte("ansible_password: CANARY\nurl: https://me:CANARY@example.org/\nkey: CANARY\n")},
	}
	return repo, []Finding{
		{
			Rule: "release-unpinned", Severity: Error, Position: Position{"apps/release.yaml", 3, 16, 3},
			Message: `chart version "*" is not pinned`, Fix: "set an exact version", Sites: []string{"site-a", "site-b"},
		},
		{Rule: "value-odd", Severity: Warning, Position: Position{"sites/é.yml", 1, 8, 6}, Message: "odd value", Fix: "change it"},
		{Rule: "value-evil", Severity: Error, Position: Position{"sites/é.yml", 2, 7, 0}, Message: "red \x1b[31m\nline\u009b", Sites: []string{"site-a"}},
		{Rule: "line-long", Severity: Warning, Position: Position{"sites/é.yml", 3, 301, 3}, Message: "a long line"},
		{Rule: "file-missing", Severity: Error, Position: Position{File: "sites/none.yml"}, Message: "the file is missing", Fix: "write it"},
		{Rule: "line-gone", Severity: Error, Position: Position{"apps/release.yaml", 99, 1, 1}, Message: "past the end"},
		{Rule: "column-gone", Severity: Error, Position: Position{"apps/release.yaml", 1, 99, 1}, Message: "past the line"},
		{Rule: "line-end", Severity: Error, Position: Position{"apps/release.yaml", 1, 5, 9}, Message: "at the end of a line"},
		{Rule: "fleet-odd", Severity: Error, Message: "about nothing in particular"},
		{Rule: "secret-file", Severity: Error, Position: Position{"sites/secrets.sops.yml", 1, 8, 6}, Message: "in a secret file"},
		{Rule: "secret-line", Severity: Error, Position: Position{"sites/main.yml", 1, 1, 6}, Message: "a line that sets a password"},
		{Rule: "secret-url", Severity: Error, Position: Position{"sites/main.yml", 2, 1, 3}, Message: "a line with credentials"},
		{Rule: "secret-flag", Severity: Error, Position: Position{"sites/main.yml", 3, 1, 3}, Message: "a line said to hold a secret", Secret: true},
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got:\n%s\nwant:\n%s", name, got, want)
	}
}

func TestText(t *testing.T) {
	repo, findings := samples()
	for name, colour := range map[string]bool{"text.golden": false, "colour.golden": true} {
		var b bytes.Buffer
		if err := Text(&b, repo, findings, colour); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b.Bytes(), []byte("CANARY")) {
			t.Errorf("%s shows a secret", name)
		}
		if !colour && bytes.ContainsAny(b.Bytes(), "\x1b\r") {
			t.Errorf("%s holds control characters", name)
		}
		golden(t, name, b.Bytes())
	}
}

// TestShape is the example of the architecture, byte for byte.
func TestShape(t *testing.T) {
	repo, findings := samples()
	var b strings.Builder
	if err := Text(&b, repo, findings[:1], false); err != nil {
		t.Fatal(err)
	}
	const want = `apps/release.yaml:3:16: error: chart version "*" is not pinned [release-unpinned]
    3 |       version: "*"
      |                ^~~
   fix: set an exact version      sites: site-a, site-b
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestTextWithoutRepository(t *testing.T) {
	_, findings := samples()
	var b strings.Builder
	if err := Text(&b, nil, findings[:1], false); err != nil || strings.Contains(b.String(), "|") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestJSON(t *testing.T) {
	_, findings := samples()
	var b bytes.Buffer
	if err := JSON(&b, findings); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b.Bytes()) {
		t.Error("not JSON")
	}
	golden(t, "json.golden", b.Bytes())
	b.Reset()
	if err := JSON(&b, nil); err != nil || b.String() != "{\n  \"findings\": []\n}\n" {
		t.Errorf("no findings: %v %q", err, b.String())
	}
}

// full is a writer that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestWriteErrors(t *testing.T) {
	repo, findings := samples()
	if err := Text(full{}, repo, findings, false); err == nil {
		t.Error("Text hides the error")
	}
	if err := JSON(full{}, findings); err == nil {
		t.Error("JSON hides the error")
	}
}

func TestDedup(t *testing.T) {
	at := func(file string, line int) Position { return Position{File: file, Line: line} }
	in := []Finding{
		{Rule: "b-b", Severity: Error, Position: at("b", 1), Message: "m", Sites: []string{"site-b"}},
		{Rule: "a-a", Severity: Error, Position: at("b", 1), Message: "m", Sites: []string{"site-b"}},
		{Rule: "b-b", Severity: Error, Position: at("b", 1), Message: "m", Sites: []string{"site-a", "site-b"}, Secret: true},
		{Rule: "b-b", Severity: Error, Position: at("b", 1), Message: "other", Sites: []string{"site-a"}},
		{Rule: "z-z", Severity: Warning, Position: at("a", 10), Message: "m"},
		{Rule: "z-z", Severity: Warning, Position: at("a", 9), Message: "m"},
	}
	before := slices.Clone(in[0].Sites)
	got := Dedup(in)
	var words []string
	for _, f := range got {
		words = append(words, f.Position.File+" "+f.Rule+" "+f.Message+" "+strings.Join(f.Sites, "+"))
	}
	want := []string{"a z-z m ", "a z-z m ", "b a-a m site-b", "b b-b m site-a+site-b", "b b-b other site-a"}
	if !slices.Equal(words, want) {
		t.Errorf("got %q, want %q", words, want)
	}
	if got[0].Position.Line != 9 || !got[3].Secret || !slices.Equal(in[0].Sites, before) {
		t.Errorf("got %+v from %+v", got, in)
	}
	slices.Reverse(in)
	if again := Dedup(in); len(again) != len(got) || again[3].Message != got[3].Message {
		t.Errorf("another order gives %+v", again)
	}
}

func TestSeverity(t *testing.T) {
	if Warning >= Error {
		t.Error("a warning matters more than an error")
	}
	for s, want := range map[Severity]string{Warning: "warning", Error: "error", 0: "unknown"} {
		text, err := s.MarshalText()
		if err != nil || string(text) != want || s.String() != want {
			t.Errorf("%d is %q, %v", s, text, err)
		}
	}
}

func sampleRun() Run {
	return Run{
		Name: "archipel lint", Version: "v1.2.3",
		Rules: []Rule{
			{ID: "release-unpinned", Group: "flux", Severity: Error, Summary: "A version is a range.", Reason: "It moves.", Help: "https://archipel.example/rules#release-unpinned"},
			{ID: "value-odd", Group: "yaml", Severity: Warning, Summary: "A value is odd.", Reason: "It is <odd> & \"quoted\"."},
			{ID: "nothing-found", Group: "yaml", Severity: Warning, Summary: "It finds nothing.", Reason: "All is well."},
		},
		Skipped: []Skipped{{Code: "chart-unavailable", Reason: "not in the cache: run without --offline\x1b", Count: 2}},
	}
}

// TestPrinters compares what other programs read with golden files, and makes sure that
// nothing in a repository can leave its place there.
func TestPrinters(t *testing.T) {
	_, findings := samples()
	findings = append(findings, Finding{
		Rule: "value-odd", Severity: Warning, Position: Position{"a,b:c%20\n.yaml", 1, 2, 3}, Message: "::error::%0A]]></failure>\n::warning::", Sites: []string{"site-a"},
	})
	for name, write := range map[string]func(io.Writer, []Finding, Run) error{"sarif.golden": SARIF, "github.golden": GitHub, "junit.golden": JUnit} {
		var b bytes.Buffer
		if err := write(&b, findings, sampleRun()); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b.Bytes(), []byte("CANARY")) || bytes.ContainsAny(b.Bytes(), "\x1b\r") {
			t.Errorf("%s shows a secret or holds control characters", name)
		}
		golden(t, name, b.Bytes())
		if err := write(full{}, findings, sampleRun()); err == nil {
			t.Errorf("%s hides the error of a write", name)
		}
		switch name {
		case "sarif.golden":
			if !json.Valid(b.Bytes()) {
				t.Error("SARIF is not JSON")
			}
		case "junit.golden":
			if err := xml.Unmarshal(b.Bytes(), new(any)); err != nil {
				t.Errorf("JUnit is not XML: %v", err)
			}
		case "github.golden":
			if lines := bytes.Count(b.Bytes(), []byte("\n")); lines != len(findings)+1 {
				t.Errorf("%d commands, want %d", lines, len(findings)+1)
			}
		}
	}
}
