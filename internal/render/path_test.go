package render

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"
)

// TestPaths renders the repositories in testdata/paths. The first line of each names the
// entry; the file "want" is everything that comes out.
func TestPaths(t *testing.T) {
	archives, err := filepath.Glob("testdata/paths/*.txtar")
	if err != nil || len(archives) < 30 {
		t.Fatalf("found %d archives, %v", len(archives), err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files, want := fstest.MapFS{}, -1
			for i, f := range archive.Files {
				if f.Name == "want" {
					want = i
					continue
				}
				files[f.Name] = content(string(f.Data))
			}
			first, _, _ := strings.Cut(string(archive.Comment), "\n")
			entry := strings.TrimPrefix(first, "path: ")
			got := described(t, files, entry)
			if again := described(t, files, entry); again != got {
				t.Errorf("a second run has\n%s\nthe first\n%s", again, got)
			}
			if *update {
				if want < 0 {
					want, archive.Files = len(archive.Files), append(archive.Files, txtar.File{Name: "want"})
				}
				archive.Files[want].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want < 0 || got != string(archive.Files[want].Data) {
				t.Errorf("got\n%s\nwant what %s says; -update writes it", got, name)
			}
		})
	}
}

// described renders an entry anew, and writes all of the result as text.
func described(t *testing.T, files fs.FS, entry string) string {
	t.Helper()
	result, err := New(Config{FS: files}).Path(t.Context(), entry)
	if err != nil {
		t.Fatal(err)
	}
	return describe(result)
}

func describe(result *Result) string {
	var out bytes.Buffer
	for _, f := range result.Findings {
		fmt.Fprintf(&out, "%s:%d:%d: %s: %s [%s]\n", f.Position.File, f.Position.Line, f.Position.Column, f.Severity, f.Message, f.Rule)
	}
	for _, s := range result.Skipped {
		fmt.Fprintf(&out, "%s:%d: skipped: %s: %s [%s]\n", s.Position.File, s.Position.Line, s.Object, s.Reason, s.Code)
	}
	for _, k := range result.Kustomizations {
		fmt.Fprintf(&out, "Kustomization %s/%s builds %q", k.Namespace, k.Name, k.Path)
		if k.Parent != nil {
			fmt.Fprintf(&out, " for %s", k.Parent.Name)
		}
		if !k.Built {
			fmt.Fprint(&out, " (not built)")
		}
		if len(k.Variables)+len(k.SecretVariables) > 0 {
			fmt.Fprintf(&out, " with %v, secret %v, used %v", slices.Sorted(maps.Keys(k.Variables)), slices.Sorted(maps.Keys(k.SecretVariables)), slices.Sorted(maps.Keys(k.Used)))
		}
		fmt.Fprintln(&out)
	}
	for _, o := range result.Objects {
		fmt.Fprintf(&out, "---\n# %s:%d", o.Origin.Position.File, o.Origin.Position.Line)
		if k := o.Origin.Kustomization; k != nil {
			fmt.Fprintf(&out, " by %s/%s", k.Namespace, k.Name)
		}
		if o.Origin.Opaque {
			fmt.Fprint(&out, ", opaque")
		}
		if object, masked := result.Masked(o); masked {
			fmt.Fprintf(&out, ", masked:\n%s# and to the API server:", YAML(object))
		}
		fmt.Fprintf(&out, "\n%s", YAML(o.Object))
	}
	return out.String()
}

// Sites that are rendered at the same time, with the same caches, are what they are alone.
func TestSitesAtTheSameTime(t *testing.T) {
	files := os.DirFS(repository)
	results := t.TempDir()
	shared := New(Config{FS: files, Results: results, Program: "a"})
	f := sites(t)
	alone := map[string]string{}
	for _, s := range f.Sites {
		result, err := New(Config{FS: files}).Site(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		alone[s.Name] = describe(result)
	}
	check := func(r *Renderer) {
		var group sync.WaitGroup
		for range 3 {
			for _, s := range f.Sites {
				group.Go(func() {
					result, err := r.Site(t.Context(), s)
					if err != nil {
						t.Error(err)
					} else if got := describe(result); got != alone[s.Name] {
						t.Errorf("%s has, beside others,\n%s\nand alone\n%s", s.Name, got, alone[s.Name])
					}
				})
			}
		}
		group.Wait()
	}
	check(shared)
	kept, err := filepath.Glob(filepath.Join(results, "*", "*"))
	if err != nil || len(kept) < 5 {
		t.Fatalf("%d builds were kept, %v", len(kept), err)
	}
	check(New(Config{FS: files, Results: results, Program: "a"})) // from what was kept
	for _, name := range kept {
		if err := os.WriteFile(name, []byte("broken"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check(New(Config{FS: files, Results: results, Program: "a"}))
}
