package source

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// git runs the real git, so that archipel reads what it writes.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_SYSTEM=" + os.DevNull,
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
		"GIT_AUTHOR_DATE=2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z", "GIT_ALLOW_PROTOCOL=file",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// history makes a repository with a fleet in the folder at, three commits on
// main, one on side, and a lightweight and an annotated tag.
func history(t *testing.T, at string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	git(t, dir, "init", "--quiet", "--initial-branch=main")
	commit := func(content string) {
		write(t, dir, at+"/"+Marker+"/site-a/hosts.yml", content)
		git(t, dir, "add", ".")
		git(t, dir, "commit", "--quiet", "--message", content)
	}
	write(t, dir, "README.md", "above\n")
	commit("one")
	git(t, dir, "tag", "v1")
	git(t, dir, "tag", "--annotate", "--message", "x", "v1a")
	git(t, dir, "checkout", "--quiet", "-b", "feat/side")
	commit("side")
	git(t, dir, "checkout", "--quiet", "main")
	commit("two")
	commit("three")
	return dir
}

func openGitOf(t *testing.T, dir string) *Git {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	g, err := r.Git()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestRevision(t *testing.T) {
	dir := history(t, "fleet")
	g := openGitOf(t, filepath.Join(dir, "fleet"))
	short := git(t, dir, "rev-parse", "--short=7", "main~1")
	for name, want := range map[string]string{
		"HEAD": "three", "@": "three", "main": "three", "refs/heads/main": "three", "heads/main": "three",
		"HEAD~": "two", "HEAD~1": "two", "HEAD^": "two", "HEAD~2": "one", "HEAD^^": "one", "HEAD~1^1": "one", "main^0": "three",
		"v1": "one", "v1a": "one", "v1a^{}": "one", "v1a^{commit}~0": "one", "feat/side": "side", "feat/side~1": "one",
		short: "two", strings.ToUpper(short): "two", git(t, dir, "rev-parse", "v1a"): "one",
	} {
		r, err := g.Revision(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		data, err := Read(r, Marker+"/site-a/hosts.yml")
		if string(data) != want || err != nil || r.Name != name || r.Commit != git(t, dir, "rev-parse", name+"^{commit}") {
			t.Errorf("%s: %q, %v, %s", name, data, err, r.Commit)
		}
		if _, err := fs.Stat(r, "README.md"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s shows a file above the fleet: %v", name, err)
		}
	}
	base, err := g.MergeBase("main", "feat/side")
	if err != nil || base.Commit != git(t, dir, "merge-base", "main", "feat/side") {
		t.Errorf("merge base %+v, %v", base, err)
	}
}

func TestRevisionErrors(t *testing.T) {
	dir := history(t, ".")
	git(t, dir, "checkout", "--quiet", "--orphan", "alone")
	git(t, dir, "commit", "--quiet", "--message", "alone")
	g := openGitOf(t, dir)
	for name, want := range map[string]string{
		"gone": "git fetch", "main~9": "parents", "main^2": "parents", "main~99999999999999999999": "not that long",
		"": "archipel knows", "~1": "archipel knows", "main@{1}": "not the name", "main:x": "not the name", "../../x": "not the name", "/etc/passwd": "not the name",
		"main^{tree}": "archipel knows", "a\x1b[31m": "not the name", "deadbeef": "git fetch", strings.Repeat("0", 40): "git fetch",
		git(t, dir, "rev-parse", "main:README.md"): "a blob, not a commit",
	} {
		_, err := g.Revision(name)
		re, ok := errors.AsType[*RevisionError](err)
		if !ok || !strings.Contains(re.Reason, want) || re.Revision != name || strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	if _, err := g.MergeBase("main", "alone"); err == nil || !strings.Contains(err.Error(), "no commit in common") {
		t.Errorf("merge base of strangers: %v", err)
	}
}

func TestShallow(t *testing.T) {
	origin := history(t, ".")
	dir := filepath.Join(t.TempDir(), "clone")
	git(t, origin, "clone", "--quiet", "--depth=1", "file://"+origin, dir)
	g := openGitOf(t, dir)
	if _, err := g.Revision("origin/main"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"HEAD~1", "v1"} {
		if _, err := g.Revision(name); err == nil || !strings.Contains(err.Error(), "git fetch --unshallow") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLayouts reads repositories that keep their objects and references in
// all the ways that git does.
func TestLayouts(t *testing.T) {
	origin := history(t, ".")
	parent := t.TempDir()
	git(t, origin, "worktree", "add", "--quiet", "--detach", parent+"/linked", "main~1")
	git(t, origin, "clone", "--quiet", "--shared", origin, parent+"/lent")
	git(t, parent+"/lent", "clone", "--quiet", "--shared", parent+"/lent", parent+"/lent-twice")
	git(t, origin, "clone", "--quiet", "--no-local", origin, parent+"/packed")
	git(t, parent+"/packed", "pack-refs", "--all")
	if err := os.Symlink(parent+"/packed", parent+"/link"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"linked": "two", "lent": "three", "lent-twice": "three", "packed": "three", "link": "three"} {
		g := openGitOf(t, filepath.Join(parent, name))
		for rev, want := range map[string]string{"HEAD": want, "v1a": "one"} {
			r, err := g.Revision(rev)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			data, err := fs.ReadFile(r, Marker+"/site-a/hosts.yml")
			info, statErr := fs.Stat(r, Marker+"/site-a/hosts.yml")
			if string(data) != want || err != nil || statErr != nil || info.Size() != int64(len(want)) {
				t.Errorf("%s %s: %q, %v, %v", name, rev, data, err, statErr)
			}
		}
	}
}

func TestNoGit(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, Marker+"/site-a/hosts.yml", "x")
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Git(); err == nil || !strings.Contains(err.Error(), "in no Git repository") {
		t.Errorf("error %v", err)
	}
	for text, want := range map[string]string{"nonsense": "does not name a folder", "gitdir: gone": "git worktree repair", "gitdir: kubernetes": "no folder objects"} {
		write(t, dir, ".git", text)
		if _, err := r.Git(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, ".git")); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "init", "--quiet", "--object-format=sha256")
	if _, err := r.Git(); err == nil || !strings.Contains(err.Error(), "SHA-1 only") {
		t.Errorf("sha256: %v", err)
	}
}

// hostile has links that lead out, in a circle and far, a submodule, and a large file.
func hostile(t *testing.T) *Revision {
	t.Helper()
	dir := history(t, ".")
	for link, target := range map[string]string{
		"in": Marker + "/site-a", "deep/up": "../README.md", "out": "../x", "abs": "/etc/passwd", "round": "round2", "round2": "round", "dot": ".",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, "large", strings.Repeat("x", maxObject+1))
	git(t, dir, "add", ".")
	git(t, dir, "update-index", "--add", "--cacheinfo", "160000,"+git(t, dir, "rev-parse", "HEAD")+",module")
	git(t, dir, "commit", "--quiet", "--message", "hostile")
	r, err := openGitOf(t, dir).Revision("HEAD")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRevisionConfined(t *testing.T) {
	r := hostile(t)
	for name, want := range map[string]string{
		"in/hosts.yml": "", "deep/up": "", "dot/dot/dot/README.md": "",
		"out": "out of the repository", "abs": "out of the repository", "round": "too many", "large": "larger than",
		"module": "does not exist", "module/x": "does not exist", "README.md/x": "does not exist", "../x": "invalid", "": "invalid", "in": "not a regular file",
	} {
		_, err := Read(r, name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if target, err := fs.ReadLink(r, "out"); target != "../x" || err != nil {
		t.Errorf("%q, %v", target, err)
	}
	if info, err := fs.Lstat(r, "in"); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("%v, %v", info, err)
	}
}

// TestRevisionFS holds a Revision to the contract of fs.FS.
func TestRevisionFS(t *testing.T) {
	dir := history(t, ".")
	write(t, dir, "a/b", "x")
	write(t, dir, "a.b", "y") // Git sorts it before a
	git(t, dir, "add", ".")
	git(t, dir, "commit", "--quiet", "--message", "more")
	r, err := openGitOf(t, dir).Revision("HEAD")
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(r, "README.md", "a/b", "a.b", Marker+"/site-a/hosts.yml"); err != nil {
		t.Error(err)
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			err := fs.WalkDir(r, ".", func(name string, e fs.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() {
					_, err = Read(r, name)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	readers.Wait()
}

func TestChanges(t *testing.T) {
	dir := history(t, ".")
	for name, text := range map[string]string{"k/same": "s", "k/edited": "1", "k/gone/x": "x", "k/turned": "file", "k/folder/f": "f"} {
		write(t, dir, name, text)
	}
	if err := os.Symlink("same", dir+"/k/link"); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", ".")
	git(t, dir, "commit", "--quiet", "--message", "before")
	for _, name := range []string{"k/gone", "k/turned", "k/folder", "k/link"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, "k/edited", "2")
	write(t, dir, "k/turned/in", "folder")
	write(t, dir, "k/folder", "file")
	write(t, dir, "k/new", "n")
	if err := os.Symlink("edited", dir+"/k/link"); err != nil {
		t.Fatal(err)
	}
	want := []string{"k/edited", "k/folder", "k/folder/f", "k/gone/x", "k/link", "k/new", "k/turned", "k/turned/in"}
	g := openGitOf(t, dir)
	before, err := g.Revision("HEAD")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := Changes(before, r.FS(), "k"); err != nil || !slices.Equal(got, want) {
		t.Errorf("against the working tree: %v, %v", got, err)
	}
	git(t, dir, "add", ".")
	git(t, dir, "commit", "--quiet", "--message", "after")
	after, err := g.Revision("HEAD")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Changes(before, after, "k"); err != nil || !slices.Equal(got, want) {
		t.Errorf("of two commits: %v, %v", got, err)
	}
	if got, err := Changes(before, after, "gone"); err != nil || len(got) > 0 {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	if got, err := Changes(after, r.FS(), "."); err != nil || len(got) > 0 {
		t.Errorf("of a clean checkout: %v, %v", got, err)
	}
}

func FuzzRevision(f *testing.F) {
	for _, seed := range []string{"HEAD~1^2", "v1a^{}", "main..x", "@{u}", "a/b^{commit}~3", "../x", "~", "^0"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	for _, name := range []string{"objects", "refs/heads", Marker} {
		if err := os.MkdirAll(filepath.Join(dir, ".git", name), 0o755); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/.git/config", []byte("[core]\n"), 0o644); err != nil {
		f.Fatal(err)
	}
	g, err := openGit(dir + "/.git")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if _, err := g.Revision(name); err == nil {
			t.Errorf("%q is in an empty repository", name)
		}
	})
}
