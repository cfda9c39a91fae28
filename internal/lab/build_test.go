package lab

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestBuildKey(t *testing.T) {
	l := newLab(t)
	dir := l.config.Repository
	write(t, dir, "lab/go.mod", "module archipel/lab\n\ngo 1.26\n")
	write(t, dir, "lab/go.sum", "")
	write(t, dir, "lab/cmd/x/main.go", "package main\n\nfunc main() {}\n")
	write(t, dir, "lab/manifests/go.mod", "module archipel/lab/manifests\n")
	key := func() string {
		t.Helper()
		k, err := l.buildKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(k) != 16 {
			t.Errorf("key is %q", k)
		}
		return k
	}
	last := key()
	for _, test := range []struct {
		what    string
		change  func() error
		changes bool
	}{
		{"nothing", func() error { return nil }, false},
		{"times", func() error {
			return os.Chtimes(filepath.Join(dir, "lab/cmd/x/main.go"), time.Unix(1, 0), time.Unix(1, 0))
		}, false},
		{"a test", func() error { write(t, dir, "lab/cmd/x/main_test.go", "package main\n"); return nil }, false},
		{"a document", func() error { write(t, dir, "lab/README.md", "changed\n"); return nil }, false},
		{"what is not the lab's", func() error { write(t, dir, "internal/x.go", "package x\n"); return nil }, false},
		{"the user's flags", func() error {
			l.config.Environment = append(l.config.Environment, "GOFLAGS=-race", "GOWORK="+filepath.Join(dir, "go.work"))
			return nil
		}, false},
		{"a source", func() error {
			write(t, dir, "lab/cmd/x/main.go", "package main\n\nfunc main() { return }\n")
			return nil
		}, true},
		{"a new source", func() error { write(t, dir, "lab/cmd/x/more.go", "package main\n"); return nil }, true},
		{"a name", func() error {
			return os.Rename(filepath.Join(dir, "lab/cmd/x/more.go"), filepath.Join(dir, "lab/cmd/x/other.go"))
		}, true},
		{"a deletion", func() error { return os.Remove(filepath.Join(dir, "lab/cmd/x/other.go")) }, true},
		{"go.sum", func() error { write(t, dir, "lab/go.sum", "x v1.0.0 h1:x=\n"); return nil }, true},
		{"the go.mod of what is served", func() error {
			write(t, dir, "lab/manifests/go.mod", "module archipel/lab/manifests\n\ngo 1.26\n")
			return nil
		}, true},
	} {
		if err := test.change(); err != nil {
			t.Fatal(err)
		}
		next := key()
		if (next != last) != test.changes {
			t.Errorf("after a change of %s the key is %s, before %s", test.what, next, last)
		}
		last = next
	}
}

func TestBuildKeyFails(t *testing.T) {
	l := newLab(t)
	if _, err := l.buildKey(t.Context()); err == nil {
		t.Error("no error without sources")
	}
}

// Build must return at once what the cache holds.
func TestBuildUsesTheCache(t *testing.T) {
	l := newLab(t)
	write(t, l.config.Repository, "lab/go.mod", "module archipel/lab\n\ngo 1.26\n")
	if built, err := l.Built(t.Context()); built || err != nil {
		t.Fatalf("built %v, %v", built, err)
	}
	key, err := l.buildKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(l.config.CacheHome, "archipel", "lab", key)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if built, err := l.Built(t.Context()); !built || err != nil {
		t.Errorf("built %v, %v", built, err)
	}
	programs, err := l.Build(t.Context(), func(what string) { t.Errorf("it reports %s", what) })
	if err != nil || programs != programsIn(dir) {
		t.Errorf("got %+v, %v", programs, err)
	}
}

func TestOldBuildsAreRemoved(t *testing.T) {
	cache := t.TempDir()
	clock := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for name, days := range map[string]int{"kept": 30, "old": 15, "recent": 13, "new": 0} {
		write(t, cache, name+"/bin/program", "")
		at := clock.AddDate(0, 0, -days)
		if err := os.Chtimes(filepath.Join(cache, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	removeOld(cache, "kept", clock)
	entries, err := os.ReadDir(cache)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if !slices.Equal(left, []string{"kept", "new", "recent"}) {
		t.Errorf("left are %q", left)
	}
}

func TestVersionFlags(t *testing.T) {
	for version, want := range map[string]string{
		"v1.36.4":      "gitVersion=v1.36.4+k3s1 gitMajor=1 gitMinor=36 gitTreeState=clean",
		"v1.37.0-rc.1": "gitVersion=v1.37.0-rc.1+k3s1 gitMajor=1 gitMinor=37 gitTreeState=clean",
	} {
		got := strings.ReplaceAll(strings.TrimSpace(versionFlags(version)), "-X k8s.io/component-base/version.", "")
		if got != want {
			t.Errorf("%s: got %s", version, got)
		}
	}
}

func TestParseObjects(t *testing.T) {
	const a, b = "kind: A\nmetadata: {name: a}\n", "kind: B\nmetadata: {name: b}\ndata: |\n  ---\n  text --- text\n"
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"nothing":           {"", nil},
		"comments only":     {"# a\n---\n# b\n", nil},
		"one":               {a, []string{"A a"}},
		"two":               {a + "---\n" + b, []string{"A a", "B b"}},
		"marks all around":  {"---\n" + a + "---\n---\n" + b + "---\n", []string{"A a", "B b"}},
		"spaces after mark": {a + "---  \n" + b, []string{"A a", "B b"}},
		"line ends of DOS":  {strings.ReplaceAll(a+"---\n"+b, "\n", "\r\n"), []string{"A a", "B b"}},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := parseObjects([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, object := range objects {
				got = append(got, object.GetKind()+" "+object.GetName())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q", got)
			}
		})
	}
	for _, text := range []string{"a: [\n", "- a\n", a + "---\na: b: c\n"} {
		if _, err := parseObjects([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestParseModules(t *testing.T) {
	modules, err := parseModules(strings.NewReader("{\"Path\": \"a\", \"Version\": \"v1\", \"Dir\": \"/a\"}\n{\"Path\": \"b\"}\n"))
	if err != nil || len(modules) != 2 || modules["a"] != (module{"a", "v1", "/a"}) {
		t.Errorf("got %v, %v", modules, err)
	}
	if _, err := parseModules(strings.NewReader("{\"Path\": ")); err == nil {
		t.Error("half an answer is accepted")
	}
}

func TestLastWords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	text := `{"level":"info","msg":"a"}
plain text
{"level":"error","msg":"b","error":"c"}
{"no":"message"}
{"msg":
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{"a", "plain text", "b: c", `{"no":"message"}`, `{"msg":`}
	if got := lastWords(file, 10); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := lastWords(file, 2); !slices.Equal(got, want[3:]) {
		t.Errorf("got %q", got)
	}
}

func TestParseObjectsTakesCommentsAfterMarks(t *testing.T) {
	objects, err := parseObjects([]byte("kind: A\n--- # next\nkind: B\n"))
	if err != nil || len(objects) != 2 {
		t.Errorf("got %d objects, %v", len(objects), err)
	}
}

// TestTargets holds the file names against what the lab looks for.
func TestTargets(t *testing.T) {
	programs := programsIn("/cache")
	want := []string{
		programs.ControlPlane, programs.Upstream, programs.Source, programs.Kustomize, programs.Helm, programs.Notification,
		programs.WireGuard, programs.K3s + "/v1.36.4+k3s1/k3s", programs.K3s + "/v1.36.4+k3s2/k3s",
	}
	var got []string
	for _, target := range targets("v1.36.4") {
		got = append(got, filepath.Join("/cache", target.file))
		if strings.Contains(target.file, "k3s2") && target.linker != " -X main.version=v1.36.4+k3s2" {
			t.Errorf("%s is linked with %q", target.file, target.linker)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestPackK3s(t *testing.T) {
	l := newLab(t)
	write(t, l.config.Repository, "lab/go.mod", "module archipel/lab\n\ngo 1.26\n")
	for arch, binary := range map[string]string{"amd64": "k3s", "arm64": "k3s-arm64"} {
		work := t.TempDir()
		write(t, work, "k3s/v1.36.4+k3s1/k3s", "program\n")
		l.config.Environment = append(l.config.Environment, "GOARCH="+arch)
		if err := l.packK3s(t.Context(), work, []string{"v1.36.4+k3s1"}); err != nil {
			t.Fatal(err)
		}
		sums, err := os.ReadFile(filepath.Join(work, "k3s/v1.36.4+k3s1/sha256sum-"+arch+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		images := "k3s-airgap-images-" + arch + ".tar.zst"
		want := fmt.Sprintf("%x  %s\n%x  %s\n", sha256.Sum256([]byte("program\n")), binary, sha256.Sum256([]byte(emptyImages)), images)
		if string(sums) != want {
			t.Errorf("%s: got %s", arch, sums)
		}
		for _, name := range []string{binary, images} {
			if _, err := os.Stat(filepath.Join(work, "k3s/v1.36.4+k3s1", name)); err != nil {
				t.Error(err)
			}
		}
	}
}
