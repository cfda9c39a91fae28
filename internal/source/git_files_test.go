package source

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// staged describes what the next commit would change: names and contents.
func staged(t *testing.T, dir, index string) []string {
	t.Helper()
	g := openGitOf(t, dir)
	blobs, err := g.Staged(index)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range blobs {
		data, err := g.Content(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b.Name+"="+string(data))
	}
	return got
}

func TestStaged(t *testing.T) {
	for _, version := range []string{"2", "3", "4"} {
		dir := t.TempDir()
		git(t, dir, "init", "--quiet", "--initial-branch=main")
		git(t, dir, "config", "index.version", version)
		git(t, dir, "config", "index.skipHash", "true") // of Git 2.40 and newer
		write(t, dir, Marker+"/site-a/hosts.yml", "x")
		equal := func(what string, want ...string) {
			t.Helper()
			if got := staged(t, dir, ""); !slices.Equal(got, want) {
				t.Errorf("version %s, %s: got %q, want %q", version, what, got, want)
			}
		}
		equal("no index")
		git(t, dir, "add", ".")
		equal("no commit", Marker+"/site-a/hosts.yml=x")
		write(t, dir, "same", "same")
		write(t, dir, "moved", "moved")
		write(t, dir, "gone", "gone")
		write(t, dir, "changed", "old")
		git(t, dir, "add", ".")
		git(t, dir, "commit", "--quiet", "--message", "one")
		equal("nothing staged")
		git(t, dir, "mv", "moved", "folder")
		git(t, dir, "rm", "--quiet", "gone")
		write(t, dir, "changed", "staged")
		write(t, dir, "later", "not added")
		git(t, dir, "add", "changed")
		git(t, dir, "add", "--intent-to-add", "later")
		write(t, dir, "changed", "not staged")
		if err := os.Symlink("same", filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		git(t, dir, "add", "link")
		equal("some staged", "changed=staged", "folder=moved")
		// Git gives a hook another index when it commits some files only.
		other := filepath.Join(dir, ".git", "other")
		data, err := os.ReadFile(filepath.Join(dir, ".git", "index"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(other, data, 0o644); err != nil {
			t.Fatal(err)
		}
		git(t, dir, "commit", "--quiet", "--message", "two")
		write(t, dir, "same", "other")
		git(t, dir, "add", "same")
		equal("after the commit", "same=other")
		if got := staged(t, dir, other); len(got) != 0 {
			t.Errorf("the other index: %q", got)
		}
	}
}

func TestStagedUnreadable(t *testing.T) {
	dir := history(t, ".")
	git(t, dir, "update-index", "--split-index")
	if _, err := openGitOf(t, dir).Staged(""); err == nil || !strings.Contains(err.Error(), "--no-split-index") {
		t.Errorf("a split index: %v", err)
	}
	for name, content := range map[string]string{"empty": "", "cut off": "DIRC\x00\x00\x00\x02\x00\x00\x00\x09", "text": strings.Repeat("text", 20)} {
		file := filepath.Join(t.TempDir(), "index")
		write(t, filepath.Dir(file), "index", content)
		if blobs, err := openGitOf(t, dir).Staged(file); err == nil {
			t.Errorf("%s: %v", name, blobs)
		}
	}
}

func TestStagedInWorktree(t *testing.T) {
	dir := history(t, ".")
	other := filepath.Join(t.TempDir(), "w")
	git(t, dir, "worktree", "add", "--quiet", other, "feat/side")
	write(t, other, "new", "here")
	git(t, other, "add", "new")
	if got := staged(t, other, ""); !slices.Equal(got, []string{"new=here"}) {
		t.Errorf("%q", got)
	}
	if got := staged(t, dir, ""); len(got) != 0 {
		t.Errorf("in the main one: %q", got)
	}
}

func TestHistory(t *testing.T) {
	dir := history(t, "fleet")
	write(t, dir, "stashed", "stashed")
	git(t, dir, "add", "stashed")
	git(t, dir, "stash", "--quiet")
	git(t, dir, "tag", "of-a-blob", "HEAD:README.md")
	write(t, dir, "again/README.md", "above\n") // known
	write(t, dir, "other.md", "above\n")        // under another name
	git(t, dir, "add", ".")
	git(t, dir, "commit", "--quiet", "--message", "four")
	git(t, dir, "pack-refs", "--all")
	all := func(dir string) (got []string) {
		r, _, err := OpenAround(dir, func(fs.FS) []string { return nil })
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		g, err := r.Git()
		if err != nil {
			t.Fatal(err)
		}
		commits, err := g.History(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		blobs, err := g.Contents(t.Context(), commits)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blobs {
			data, err := g.Content(b)
			if err != nil || len(b.Commit) != 40 || b.ID() != ContentID(data) || MakeBlob(b.Name, b.Commit, b.ID()) != b {
				t.Fatalf("%+v: %v", b, err)
			}
			got = append(got, filepath.Base(b.Name)+"="+strings.TrimSpace(string(data)))
		}
		slices.Sort(got)
		return got
	}
	want := []string{"README.md=above", "hosts.yml=one", "hosts.yml=side", "hosts.yml=three", "hosts.yml=two", "other.md=above", "stashed=stashed"}
	if got := all(dir); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	shallow := filepath.Join(t.TempDir(), "shallow")
	git(t, filepath.Dir(shallow), "clone", "--quiet", "--depth", "1", "file://"+dir, shallow)
	if got, want := all(shallow), []string{"README.md=above", "hosts.yml=three", "other.md=above"}; !slices.Equal(got, want) {
		t.Errorf("shallow: got %q, want %q", got, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openGitOf(t, filepath.Join(dir, "fleet")).History(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("it was interrupted, and says %v", err)
	}
}
