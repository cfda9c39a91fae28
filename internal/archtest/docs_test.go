package archtest

import (
	"go/doc"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const architecture = "docs/architecture.md"

// TestPackageComments asks for one sentence: a package that needs two does two
// things.
func TestPackageComments(t *testing.T) {
	for _, f := range goFolders(t, token.NewFileSet(), "internal", "cmd", "lab/cmd", "lab/internal") {
		begins := "Package " + f.name + " "
		if f.name == "main" {
			begins = "Command " + path.Base(f.path) + " "
		}
		comment := oneLine(f.doc)
		switch {
		case !strings.HasPrefix(comment, begins):
			t.Errorf("%s: the package comment must begin with %q, but is %q", f.path, begins, comment)
		case !strings.HasSuffix(comment, "."):
			t.Errorf("%s: the package comment must end with a full stop: %q", f.path, comment)
		case f.name != "main" && new(doc.Package).Synopsis(f.doc) != comment:
			t.Errorf("%s: the package comment must be one sentence: %q", f.path, comment)
		}
	}
}

// TestArchitectureTable compares the packages below internal/ with the table
// of docs/architecture.md.
func TestArchitectureTable(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(checkout, filepath.FromSlash(architecture)))
	if err != nil {
		t.Fatal(err)
	}
	rows := packageTable(string(data))
	if len(rows) == 0 {
		t.Fatalf("%s has no table that begins with\n| package | one sentence |", architecture)
	}
	for _, f := range goFolders(t, token.NewFileSet(), "internal") {
		name := strings.TrimPrefix(f.path, "internal/")
		want := sentence(strings.TrimPrefix(oneLine(f.doc), "Package "+f.name))
		got, ok := rows[name]
		switch {
		case !ok:
			t.Errorf("%s: the table of packages lacks this row:\n| `%s` | %s |", architecture, name, want)
		case sentence(got) != want:
			t.Errorf("%s: the row of %s is not what its package comment says:\n got | %s |\nwant | %s |", architecture, name, got, want)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("%s: the table of packages has a row for %s, but there is no package internal/%s", architecture, name, name)
	}
}

// packageTable reads the rows of the table | package | one sentence |.
func packageTable(text string) map[string]string {
	rows := map[string]string{}
	inside := false
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || len(cells) != 2 {
			inside = false
			continue
		}
		name, text := strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1])
		switch {
		case strings.EqualFold(name, "package"):
			inside = strings.EqualFold(text, "one sentence")
		case inside && strings.Trim(name, ":-") != "":
			rows[strings.TrimPrefix(strings.Trim(name, "`"), "internal/")] = text
		}
	}
	return rows
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// sentence leaves out what a table and a comment write differently.
func sentence(text string) string {
	return strings.TrimSuffix(strings.ReplaceAll(oneLine(text), "`", ""), ".")
}
