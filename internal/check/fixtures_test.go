package check

import (
	"cmp"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/tools/txtar"

	"archipel/internal/chart"
	"archipel/internal/derive"
	"archipel/internal/fleet"
	"archipel/internal/policy"
	"archipel/internal/render"
)

var update = flag.Bool("update", false, "write the golden files and the generated files")

// repository is the base fleet with an overlay on top. Lines of the overlay's comment say
// what files cannot:
//
//	remove: PATH            a file or a folder
//	link: PATH -> TARGET    a symbolic link
//	executable: PATH
//	unended: PATH           a file whose last line does not end
//	stale: PATH             a derived file that names no other site
type repository struct {
	files  fstest.MapFS
	charts charts
	usual  bool // the charts are those of the base
}

func lay(t testing.TB, overlay *txtar.Archive) repository {
	t.Helper()
	base, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files, available := split(base, overlay)
	r := repository{files, available, true}
	stated := map[string]bool{}
	for _, f := range overlay.Files {
		stated[f.Name] = true
		r.usual = r.usual && !strings.HasPrefix(f.Name, "charts/")
	}
	var stale []string
	for line := range strings.Lines(string(overlay.Comment)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch word {
		case "remove":
			found := false
			for name := range r.files {
				if name == rest || strings.HasPrefix(name, rest+"/") {
					delete(r.files, name)
					found = true
				}
			}
			if !found {
				t.Fatalf("remove: %s: no such file", rest)
			}
			stated[rest] = true
		case "link":
			name, target, _ := strings.Cut(rest, " -> ")
			r.files[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
		case "executable":
			r.files[rest].Mode = 0o755
		case "unended":
			r.files[rest].Data = []byte(strings.TrimSuffix(string(r.files[rest].Data), "\n"))
		case "stale":
			stale = append(stale, rest)
		}
	}
	r.derive(t, stated, stale)
	return r
}

// usualRenderer renders what has the charts of the base, and builds nothing twice for all tests.
var usualRenderer = sync.OnceValue(func() *render.Renderer {
	base, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		panic(err)
	}
	_, available := split(base)
	return render.New(render.Config{FS: fstest.MapFS{}, Charts: available})
})

func (r repository) renderer() *render.Renderer {
	if r.usual {
		return usualRenderer().On(r.files)
	}
	return render.New(render.Config{FS: r.files, Charts: r.charts})
}

// split takes the charts out of the files of archives, of which later ones replace those of
// earlier ones.
func split(archives ...*txtar.Archive) (fstest.MapFS, charts) {
	files, available := fstest.MapFS{}, charts{}
	for i, archive := range archives {
		for _, f := range archive.Files {
			switch {
			case f.Name == "want":
			case len(f.Data) == 0 && i > 0:
				delete(files, f.Name)
			default:
				files[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
			}
		}
	}
	for name, f := range files {
		if rest, ok := strings.CutPrefix(name, "charts/"); ok {
			folder, file, _ := strings.Cut(rest, "/")
			available[folder] = append(available[folder], chart.File{Name: folder[:strings.LastIndex(folder, "-")] + "/" + file, Data: f.Data})
			delete(files, name)
		}
	}
	for _, files := range available {
		slices.SortFunc(files, func(a, b chart.File) int { return strings.Compare(a.Name, b.Name) })
	}
	return files, available
}

// derive writes the derived files that the overlay does not state. When the inventories of
// the overlay lack a fact, those of the base count.
func (r repository) derive(t testing.TB, stated map[string]bool, stale []string) {
	t.Helper()
	f, _ := fleet.Load(r.files)
	if slices.ContainsFunc(f.Sites, func(s *fleet.Site) bool { return !complete(s.Facts) }) {
		base, err := txtar.ParseFile("testdata/base.txtar")
		if err != nil {
			t.Fatal(err)
		}
		files := fstest.MapFS{}
		for _, file := range base.Files {
			files[file.Name] = &fstest.MapFile{Data: file.Data}
		}
		f, _ = fleet.Load(files)
	}
	for _, site := range f.Sites {
		file, err := derive.Site(f, site)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(stale, file.Path) {
			if file, err = derive.Site(&fleet.Fleet{Sites: []*fleet.Site{site}}, site); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := fs.Stat(r.files, clusters+"/"+site.Name); err == nil && !stated[file.Path] {
			r.files[file.Path] = &fstest.MapFile{Data: file.Content, Mode: 0o644}
		}
	}
}

// complete reports whether a derived file can be made of facts.
func complete(f fleet.Facts) bool {
	return f.ClusterID > 0 && f.MeshMaxClusters > 0 && f.MeshAPIAddress.IsValid() && f.NativeRoutingCIDR.IsValid() && f.PodCIDR.IsValid() &&
		len(f.LoadBalancerRanges) > 0 && f.GitURL != "" && f.CiliumVersion != "" && f.MetalLBVersion != "" && f.FluxVersion != ""
}

// charts are what the network would give, by name and version.
type charts map[string][]chart.File

func (c charts) Get(_ context.Context, ref chart.Reference) (*chart.Package, error) {
	for _, folder := range slices.Sorted(func(yield func(string) bool) {
		for name := range c {
			if !yield(name) {
				return
			}
		}
	}) {
		at := strings.LastIndex(folder, "-")
		name, version := folder[:at], folder[at+1:]
		if name == cmp.Or(ref.Name, ref.Repository[strings.LastIndex(ref.Repository, "/")+1:]) && (ref.Version == version || ref.Name != "" && !exact(ref.Version)) {
			digest := fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Append(nil, c[folder])))
			return &chart.Package{Name: name, Version: version, Digest: digest, Files: c[folder]}, nil
		}
	}
	return nil, &chart.UnavailableError{Reference: ref, Reason: "it is not in the cache"}
}

func exact(version string) bool {
	return version != "" && strings.Trim(version, "0123456789.v") == "" && strings.Count(version, ".") == 2
}

// lint checks a repository as the command does.
func lint(t testing.TB, r repository, in Input) *Report {
	t.Helper()
	f, found := fleet.Load(r.files)
	p, more := policy.Load(r.files)
	lock, locked := chart.ReadLock(r.files)
	in.Lock = lock
	baseline, accepted := policy.LoadBaseline(r.files, time.Now())
	in.Baseline = baseline
	in.FS, in.Fleet, in.Policy, in.Found = r.files, f, p, slices.Concat(found, more, locked, accepted)
	if in.Renderer == nil {
		in.Renderer = r.renderer()
	}
	report, err := Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// summary writes a report for golden files.
func summary(report *Report) string {
	var b strings.Builder
	for _, f := range report.Findings {
		place := f.Position.File
		if f.Position.Line > 0 {
			place += fmt.Sprintf(":%d:%d", f.Position.Line, f.Position.Column)
		}
		fmt.Fprintf(&b, "%s: %s: %s [%s]", place, f.Severity, f.Message, f.Rule)
		if len(f.Sites) > 0 {
			fmt.Fprintf(&b, " sites: %s", strings.Join(f.Sites, ", "))
		}
		b.WriteByte('\n')
	}
	for i, skip := range report.Skipped {
		if i == 0 || skip.Code != report.Skipped[i-1].Code {
			fmt.Fprintf(&b, "skipped: %s\n", skip.Code)
		}
	}
	return b.String()
}

// TestBase asks for a base without a finding: the broken repositories differ from it by
// what is wrong with them alone.
func TestBase(t *testing.T) {
	if got := summary(lint(t, lay(t, &txtar.Archive{}), Input{})); got != "" {
		t.Errorf("the base fleet has findings:\n%s", got)
	}
}

// TestExamples runs the examples of every rule.
func TestExamples(t *testing.T) {
	// They need another program, a private key, or what no repository can hold.
	without := []string{"ansible-lint", "chart-digest-mismatch", "secret-altered", "secret-detected", "secret-unchecked", "source-unreadable"}
	for _, rule := range every() {
		t.Run(rule.ID, func(t *testing.T) {
			t.Parallel()
			in := Input{Rules: every(), Only: []string{rule.ID}}
			if rule.Group == Policy {
				in.Only = nil // it is about what the others find
			}
			if unrendered(rule) {
				in.Renderer = nothing{}
			}
			count := func(text string) (n int, all string) {
				report := lint(t, lay(t, txtar.Parse([]byte(text))), in)
				for _, f := range report.Findings {
					if f.Rule == rule.ID {
						n++
						if f.Message == "" || strings.HasSuffix(f.Message, ".") || strings.Contains(f.Message+f.Fix, "\n") {
							t.Errorf("message %q, fix %q: one line without full stop", f.Message, f.Fix)
						}
					}
				}
				return n, summary(report)
			}
			if slices.Contains(without, rule.ID) {
				if rule.Bad != "" {
					t.Error("it has an example: take it off the list")
				}
				return
			}
			if n, all := count(rule.Bad); n == 0 {
				t.Errorf("the bad example gives no finding of this rule, but\n%s", all)
			}
			if rule.Good == "" {
				return // the base as it is, in which TestBase finds nothing
			}
			if n, all := count(rule.Good); n > 0 {
				t.Errorf("the good example gives\n%s", all)
			}
		})
	}
}

// unrendered reports whether a rule finds what it finds without a render.
func unrendered(rule Rule) bool {
	return rule.Site == nil && (rule.File != nil || rule.Fleet != nil || slices.Contains([]Group{YAML, Inventory, Network, Policy}, rule.Group))
}

// nothing renders no object.
type nothing struct{}

func (nothing) Site(context.Context, *fleet.Site) (*render.Result, error) {
	return &render.Result{}, nil
}

// TestBroken holds repositories with one symptom each to their exact findings.
func TestBroken(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			report := lint(t, lay(t, archive), Input{})
			got := summary(report)
			if len(report.Findings) == 0 {
				t.Error("no finding")
			}
			at := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
			if *update {
				if at < 0 {
					at = len(archive.Files)
					archive.Files = append(archive.Files, txtar.File{Name: "want"})
				}
				archive.Files[at].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if at < 0 {
				t.Fatal("the fixture has no section want; run go test -update and read what it adds")
			}
			if want := string(archive.Files[at].Data); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// TestRules asks for what the reference shows of every rule.
func TestRules(t *testing.T) {
	rules := every()
	if len(rules) < 60 {
		t.Errorf("%d rules", len(rules))
	}
	for i, rule := range rules {
		functions := 0
		for _, set := range []bool{rule.File != nil, rule.Site != nil, rule.Fleet != nil && rule.Site == nil} {
			if set {
				functions++
			}
		}
		file := "rule_" + strings.ReplaceAll(rule.ID, "-", "_") + ".go"
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s stands in no file of its own: %v", rule.ID, err)
		}
		switch {
		case slices.ContainsFunc(rules[:i], func(r Rule) bool { return r.ID == rule.ID }):
			t.Errorf("%s is there twice", rule.ID)
		case !strings.Contains(rule.ID, "-") || rule.Group == "" || rule.Severity == 0:
			t.Errorf("%s lacks something", rule.ID)
		case !strings.HasSuffix(rule.Summary, ".") || !strings.HasSuffix(rule.Reason, "."):
			t.Errorf("%s: summary and reason are sentences", rule.ID)
		case functions > 1:
			t.Errorf("%s has more than one function", rule.ID)
		}
	}
}
