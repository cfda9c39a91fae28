package source

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "kubernetes", "ansible", "inventories", "site-a")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{dir, deep, filepath.Dir(deep), filepath.Join(dir, "kubernetes")} {
		r, err := Open(from)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if r.Root() != dir {
			t.Errorf("Open(%s) found %s", from, r.Root())
		}
		if _, err := fs.Stat(r.FS(), Marker+"/site-a"); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenElsewhere(t *testing.T) {
	dir := t.TempDir()
	// A file in place of a directory of the marker is no repository either.
	if err := os.WriteFile(filepath.Join(dir, "kubernetes"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir)
	if err == nil || !strings.Contains(err.Error(), Marker) || !strings.Contains(err.Error(), "run archipel inside") {
		t.Errorf("error %v", err)
	}
	if _, err := Open(filepath.Join(dir, "gone")); err == nil {
		t.Error("a directory that does not exist is a repository")
	}
}

func TestConfined(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(Marker)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "inside"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"out": filepath.Join(outside, "secret"), "up": "../" + filepath.Base(outside), "in": "inside"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for name, want := range map[string]bool{"out": false, "up": false, "up/secret": false, "in": true} {
		if _, err := Read(r.FS(), name); (err == nil) != want {
			t.Errorf("reading %s: %v", name, err)
		}
	}
}

func TestReadBounds(t *testing.T) {
	repo := fstest.MapFS{
		"largest": {Data: make([]byte, MaxSize)},
		"larger":  {Data: make([]byte, MaxSize+1)},
		"dir/f":   {},
	}
	for name, want := range map[string]string{"largest": "", "larger": "larger than 1024 KiB", "dir": "not a regular file", "gone": "does not exist"} {
		_, err := Read(repo, name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("reading %s: %v, want %q", name, err, want)
		}
	}
	y, findings := ReadYAML(repo, "gone")
	if y != nil || len(findings) != 1 || findings[0].Rule != "file-unreadable" || strings.Contains(findings[0].Message, "gone") {
		t.Errorf("%v %+v", y, findings)
	}
}

func TestNamedPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Skip(err)
	}
	// Opening a pipe that nobody writes to would block for ever.
	if _, err := Read(os.DirFS(dir), "pipe"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("error %v", err)
	}
}

func TestPosition(t *testing.T) {
	for _, test := range []struct {
		text                string
		path                []int // indexes into Content
		line, column, width int
	}{
		{"clé: valeur\n", []int{1}, 1, 7, 6},
		{"clé: valeur\n", []int{0}, 1, 1, 4},
		{"a: &x 1\nl: [ \"a \\\" b\", 'it''s', *x ]\n", []int{3, 0}, 2, 6, 8},
		{"a: &x 1\nl: [ \"a \\\" b\", 'it''s', *x ]\n", []int{3, 1}, 2, 16, 7},
		{"a: &x 1\nl: [ \"a \\\" b\", 'it''s', *x ]\n", []int{3, 2}, 2, 25, 2},
		{"a: |\n  block\n", []int{1}, 1, 4, 1},
		{"a: \"two\n  lines\"\n", []int{1}, 1, 4, 1},
		{"a: {b: c}\n", []int{1}, 1, 4, 1},
		{"a:\n", []int{1}, 1, 3, 1},
	} {
		y, findings := ParseYAML("f.yml", []byte(test.text))
		if y == nil || len(findings) > 0 {
			t.Fatal(test.text, findings)
		}
		n := y.Documents[0]
		for _, i := range test.path {
			n = n.Content[i]
		}
		p := y.Position(n)
		if p.File != "f.yml" || p.Line != test.line || p.Column != test.column || p.Width != test.width {
			t.Errorf("%q %v: %+v, want %d:%d width %d", test.text, test.path, p, test.line, test.column, test.width)
		}
	}
}

func TestParseYAML(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2)
	bomb := "a0: &a0 [x, x]\n"
	for i := '1'; i <= '9'; i++ {
		for _, c := range []string{"a", "b", "c"} {
			before := c + string(i-1)
			if i == '1' {
				before = "a0"
			}
			bomb += c + string(i) + ": &" + c + string(i) + " [" + strings.Repeat("*"+before+", ", 9) + "*" + before + "]\n"
		}
	}
	for name, test := range map[string]struct {
		text         string
		documents    int
		rule         string
		line, column int
	}{
		"empty":               {"", 0, "", 0, 0},
		"comment":             {"# nothing\n", 0, "", 0, 0},
		"one":                 {"a: 1\n", 1, "", 0, 0},
		"three":               {"a: 1\n---\nb: 2\n---\n---\nc: 3\n", 4, "", 0, 0},
		"json":                {"{\n\t\"a\": [1,\n\t2]}\n", 1, "", 0, 0},
		"windows":             {"a: 1\r\nb: 2\r\n", 1, "", 0, 0},
		"byte order mark":     {"\ufeffa: 1\n", 1, "", 0, 0},
		"tab":                 {"a:\n\tb: 1\n", -1, "yaml-tab", 2, 1},
		"tab after spaces":    {"a:\n  b: 1\n  \tc: 1\n", -1, "yaml-tab", 3, 3},
		"open bracket":        {"a: 1\nb: [1,\n  2\nc: 3\n", -1, "yaml-syntax", 2, 1},
		"long bracket before": {"b: [1,\n  2,\n  3,\n  4]\na: b: c\nd: 1\n", -1, "yaml-syntax", 5, 1},
		"open quote":          {"a: 'x\nb: 1\n", -1, "yaml-syntax", 1, 1},
		"last line":           {"a: 1\n  b: 2", -1, "yaml-syntax", 2, 3},
		"unknown anchor":      {"a: 1\nb: *x\n", -1, "yaml-syntax", 2, 1},
		"not UTF-8":           {"a: 1\nb: \xff\n", -1, "yaml-syntax", 2, 4},
		"NUL":                 {"a: \x00\n", -1, "yaml-syntax", 1, 1},
		"duplicate":           {"a: 1\nb: 2\n'a': 3\n", 1, "yaml-duplicate-key", 3, 1},
		"duplicate deep":      {"x:\n  - a: 1\n    a: 2\n", 1, "yaml-duplicate-key", 3, 5},
		"merge twice":         {"x: &x {a: 1}\ny: {<<: *x, a: 2}\n", 1, "", 0, 0},
		"number and text":     {"1: a\n'1': b\n", 1, "", 0, 0},
		"deep":                {deep, -1, "yaml-too-large", 1, maxDepth + 2},
		"alias bomb":          {bomb, -1, "yaml-too-large", 0, 0},
		"cycle":               {"a: &a {b: *a}\n", -1, "yaml-too-large", 0, 0},
	} {
		y, findings := ParseYAML("f.yml", []byte(test.text))
		documents := -1
		if y != nil {
			documents = len(y.Documents)
		}
		if documents != test.documents {
			t.Errorf("%s: %d documents, want %d", name, documents, test.documents)
		}
		if test.rule == "" {
			if len(findings) > 0 {
				t.Errorf("%s: %+v", name, findings)
			}
			continue
		}
		if len(findings) != 1 || findings[0].Rule != test.rule {
			t.Errorf("%s: %+v, want one %s", name, findings, test.rule)
			continue
		}
		if p := findings[0].Position; test.line > 0 && (p.Line != test.line || p.Column != test.column) {
			t.Errorf("%s: at %d:%d, want %d:%d (%s)", name, p.Line, p.Column, test.line, test.column, findings[0].Message)
		}
	}
}

func TestSyntaxOfLargeFile(t *testing.T) {
	text := strings.Repeat("key: [1, 2, 3]\nother: &x value\n", 10000) + "a: b: c\n"
	_, findings := ParseYAML("f.yml", []byte(text))
	if len(findings) != 1 || findings[0].Rule != "yaml-syntax" || findings[0].Position.Line != 0 {
		t.Errorf("%+v", findings)
	}
}

func TestKinds(t *testing.T) {
	y, _ := ParseYAML("f.yml", []byte("a: !vault |\n  x\nb: {<<: *c}\nc: &c {}\n"))
	if y != nil {
		t.Error("an alias before its anchor is accepted")
	}
	y, _ = ParseYAML("f.yml", []byte("a: !vault |\n  x\n"))
	if n := y.Documents[0].Content[1]; n.Tag != "!vault" || n.Kind != yaml.ScalarNode {
		t.Errorf("%+v", n)
	}
}
