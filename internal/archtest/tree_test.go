package archtest

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// checkout is the repository's root.
const checkout = "../.."

// folder is one folder with Go code, tests included.
type folder struct {
	path  string // slash-separated, relative to the repository
	name  string // of the package
	doc   string // the package comment
	files []file
}

type file struct {
	path    string // slash-separated, relative to the repository
	test    bool
	syntax  *ast.File
	imports []string
}

// goFolders parses the folders with Go code under roots, for all platforms and
// build tags.
func goFolders(t *testing.T, fset *token.FileSet, roots ...string) []folder {
	t.Helper()
	var all []folder
	for _, root := range roots {
		err := filepath.WalkDir(filepath.Join(checkout, root), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return err
			}
			if entry.Name() == "testdata" {
				return fs.SkipDir
			}
			f := parseFolder(t, fset, name)
			if len(f.files) > 0 {
				all = append(all, f)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(all) == 0 {
		t.Fatalf("no Go code under %v", roots)
	}
	return all
}

func parseFolder(t *testing.T, fset *token.FileSet, dir string) folder {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	f := folder{path: relative(t, dir)}
	for _, name := range names {
		syntax, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		one := file{path: relative(t, name), test: strings.HasSuffix(name, "_test.go"), syntax: syntax}
		for _, spec := range syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			one.imports = append(one.imports, imported)
		}
		if !one.test {
			f.name = syntax.Name.Name
			f.doc += syntax.Doc.Text()
		}
		f.files = append(f.files, one)
	}
	return f
}

func relative(t *testing.T, name string) string {
	t.Helper()
	short, err := filepath.Rel(checkout, name)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(short)
}

// treeFiles lists the files that Git tracks or would track.
func treeFiles(t *testing.T) []string {
	t.Helper()
	git := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = checkout
	out, err := git.Output()
	if err != nil {
		if _, missing := os.Stat(filepath.Join(checkout, ".git")); missing != nil {
			t.Skip("not a Git checkout: nothing says which files belong to the tree")
		}
		failed, _ := errors.AsType[*exec.ExitError](err)
		if failed != nil {
			t.Fatalf("git ls-files: %v\n%s", err, failed.Stderr)
		}
		t.Fatalf("git ls-files: %v", err)
	}
	var names []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(checkout, filepath.FromSlash(name)))
		if err == nil && info.Mode().IsRegular() { // one that was deleted is tracked until the next commit
			names = append(names, name)
		}
	}
	if len(names) < 100 {
		t.Fatalf("git lists %d files only", len(names))
	}
	return names
}

func readTree(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(checkout, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// under says whether a slash-separated path is a folder or lies below it.
func under(name, folder string) bool {
	return name == folder || strings.HasPrefix(path.Clean(name), folder+"/")
}
