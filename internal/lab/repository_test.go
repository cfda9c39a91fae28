package lab

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"archipel/internal/fleet"
)

// git runs git in a folder with no setting of the user but those of the folder.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return gitWith(t, dir, nil, args...)
}

func gitWith(t *testing.T, dir string, environment []string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", args...)
	command.Dir = dir
	command.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.DevNull, "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_SYSTEM=" + os.DevNull,
		"GIT_AUTHOR_NAME=user", "GIT_AUTHOR_EMAIL=user@example.org", "GIT_COMMITTER_NAME=user", "GIT_COMMITTER_EMAIL=user@example.org",
	}, environment...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// checkout makes the lab's repository a Git repository with one commit of some files.
func checkout(t *testing.T) (*Lab, *fleet.Fleet) {
	t.Helper()
	l, f := newLab(t), testFleet("site-a", "site-b")
	dir := l.config.Repository
	git(t, dir, "init", "--quiet", "--initial-branch=main")
	write(t, dir, "README.md", "fleet\n")
	write(t, dir, ".gitignore", "ignored/\n*.log\n")
	write(t, dir, "changed.txt", "before\n")
	write(t, dir, "deleted.txt", "deleted\n")
	write(t, dir, "renamed.txt", "renamed\n")
	write(t, dir, "run.sh", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("README.md", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, site := range []string{"site-a", "site-b"} {
		write(t, dir, clusters+"/"+site+"/kustomization.yaml", "resources: []\n")
		write(t, dir, clusters+"/"+site+"/secrets/README.md", "encrypted files\n")
		write(t, dir, clusters+"/"+site+"/secrets/cilium-ca.sops.yaml", "of production\n")
		write(t, dir, clusters+"/"+site+"/secrets/other.sops.yaml", "of production\n")
	}
	git(t, dir, "add", "--all")
	git(t, dir, "commit", "--quiet", "--message=first")
	makeSecrets(t, l, "site-a", "site-b")
	return l, f
}

func snapshot(t *testing.T, l *Lab, f *fleet.Fleet) string {
	t.Helper()
	revisions, err := l.snapshot(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	revision := revisions[f.Sites[0].Name]
	if !regexp.MustCompile(`^main@sha1:[0-9a-f]{40}$`).MatchString(revision) {
		t.Fatalf("revision is %q", revision)
	}
	return strings.TrimPrefix(revision, "main@sha1:")
}

func bareOf(l *Lab) string { return filepath.Join(l.gitDir(), "team", "fleet.git") }

// served lists what a commit of the lab holds, as git ls-tree does: mode, type,
// object and name.
func served(t *testing.T, l *Lab, commit string) []string {
	t.Helper()
	return strings.Split(strings.TrimSuffix(git(t, bareOf(l), "ls-tree", "-r", "-z", commit), "\x00"), "\x00")
}

// worktree lists what git itself would commit of the working tree, with the
// user's index and without touching it.
func worktree(t *testing.T, dir string) []string {
	t.Helper()
	index := filepath.Join(t.TempDir(), "index")
	if err := os.WriteFile(index, []byte(read(t, filepath.Join(dir, ".git", "index"))), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := []string{"GIT_INDEX_FILE=" + index}
	gitWith(t, dir, environment, "add", "--all")
	tree := strings.TrimSpace(gitWith(t, dir, environment, "write-tree"))
	return strings.Split(strings.TrimSuffix(gitWith(t, dir, environment, "ls-tree", "-r", "-z", tree), "\x00"), "\x00")
}

var encryptedName = regexp.MustCompile(`\t` + clusters + `/[^/]+/secrets/[^/]+\.sops\.yaml$`)

func withoutSecrets(entries []string) (left []string) {
	for _, entry := range entries {
		if !encryptedName.MatchString(entry) {
			left = append(left, entry)
		}
	}
	return left
}

// sameTree checks that a commit is the working tree but for the lab's secrets.
func sameTree(t *testing.T, l *Lab, commit string) {
	t.Helper()
	got, want := served(t, l, commit), worktree(t, l.config.Repository)
	if !slices.Equal(withoutSecrets(got), withoutSecrets(want)) {
		t.Errorf("served:\n%s\nwant:\n%s", strings.Join(withoutSecrets(got), "\n"), strings.Join(withoutSecrets(want), "\n"))
	}
	var secrets []string
	for _, entry := range got {
		if encryptedName.MatchString(entry) {
			mode, name, _ := strings.Cut(entry, "\t")
			if !strings.HasPrefix(mode, "100644 blob ") {
				t.Errorf("%s is %s", name, mode)
			}
			secrets = append(secrets, strings.TrimPrefix(name, clusters+"/"))
			content := git(t, bareOf(l), "cat-file", "blob", commit+":"+name)
			site, file := strings.Split(name, "/")[3], filepath.Base(name)
			if own, err := os.ReadFile(filepath.Join(l.secretsDir(), site, file)); err != nil || content != string(own) {
				t.Errorf("%s is not the lab's: %v", name, err)
			}
		}
	}
	wanted := []string{
		"site-a/secrets/cilium-ca.sops.yaml", "site-a/secrets/flux-system.sops.yaml",
		"site-b/secrets/cilium-ca.sops.yaml", "site-b/secrets/flux-system.sops.yaml",
	}
	if !slices.Equal(secrets, wanted) {
		t.Errorf("secrets are %q", secrets)
	}
}

func TestSnapshotIsTheWorkingTree(t *testing.T) {
	l, f := checkout(t)
	dir := l.config.Repository
	before := read(t, filepath.Join(dir, ".git", "index"))
	sameTree(t, l, snapshot(t, l, f))

	write(t, dir, "changed.txt", "after, not committed\n")
	write(t, dir, "staged.txt", "staged\n")
	git(t, dir, "add", "staged.txt")
	staged := read(t, filepath.Join(dir, ".git", "index"))
	write(t, dir, "untracked/new.txt", "new\n")
	write(t, dir, "ignored/canary.txt", "canary\n")
	write(t, dir, "debug.log", "canary\n")
	write(t, dir, "windows.txt", "a\r\nb\r\n")
	write(t, dir, "binary", "\x00\xff\r\n")
	write(t, dir, "empty", "")
	write(t, dir, "a name with spaces", "a\n")
	write(t, dir, "-dash", "a\n")
	write(t, dir, "é\ttab", "a\n")
	for _, err := range []error{
		os.Remove(filepath.Join(dir, "deleted.txt")),
		os.Rename(filepath.Join(dir, "renamed.txt"), filepath.Join(dir, "renamed-to.txt")),
		os.Chmod(filepath.Join(dir, "run.sh"), 0o644),
		os.Chmod(filepath.Join(dir, "README.md"), 0o755),
		os.Remove(filepath.Join(dir, "link")),
		os.Symlink("/nowhere", filepath.Join(dir, "link")),
		os.Symlink("untracked", filepath.Join(dir, "folder-link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	commit := snapshot(t, l, f)
	sameTree(t, l, commit)
	for _, entry := range served(t, l, commit) {
		if strings.Contains(entry, "canary") || strings.Contains(entry, "debug.log") {
			t.Errorf("an ignored file is served: %s", entry)
		}
	}
	// The user's own repository is left alone.
	if before == staged || read(t, filepath.Join(dir, ".git", "index")) != staged {
		t.Error("the user's index has changed")
	}
	if log := git(t, dir, "log", "--format=%s"); log != "first\n" {
		t.Errorf("the user's history is %q", log)
	}
}

func TestSnapshotWithoutChange(t *testing.T) {
	l, f := checkout(t)
	first := snapshot(t, l, f)
	if again := snapshot(t, l, f); again != first {
		t.Errorf("an unchanged tree has made %s after %s", again, first)
	}
	write(t, l.config.Repository, "changed.txt", "after\n")
	second := snapshot(t, l, f)
	if second == first {
		t.Error("a changed tree has made no commit")
	}
	if parents := strings.TrimSpace(git(t, bareOf(l), "rev-list", "main")); parents != second+"\n"+first {
		t.Errorf("history is %q", parents)
	}
	// The same size and second as before: git must not trust the time stamp alone.
	write(t, l.config.Repository, "changed.txt", "AFTER\n")
	third := snapshot(t, l, f)
	if got := git(t, bareOf(l), "cat-file", "blob", third+":changed.txt"); got != "AFTER\n" {
		t.Errorf("served is %q", got)
	}
}

func TestSnapshotWithoutGit(t *testing.T) {
	l, f := newLab(t), testFleet("site-a")
	write(t, l.config.Repository, "README.md", "fleet\n")
	makeSecrets(t, l, "site-a")
	var names []string
	for _, entry := range served(t, l, snapshot(t, l, f)) {
		_, name, _ := strings.Cut(entry, "\t")
		names = append(names, name)
	}
	want := []string{"README.md", clusters + "/site-a/secrets/cilium-ca.sops.yaml", clusters + "/site-a/secrets/flux-system.sops.yaml"}
	if !slices.Equal(names, want) {
		t.Errorf("served are %q", names)
	}
	if _, err := os.Stat(filepath.Join(l.config.Repository, ".git")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the folder became a Git repository")
	}
}

// What the user has set up for git must neither change nor stop the lab.
func TestSnapshotMindsNoSettings(t *testing.T) {
	l, f := checkout(t)
	dir := l.config.Repository
	home, hooks := t.TempDir(), t.TempDir()
	for _, hook := range []string{"pre-commit", "commit-msg", "reference-transaction", "post-index-change"} {
		write(t, hooks, hook, "#!/bin/sh\ntouch '"+hooks+"/ran-"+hook+"'\nexit 1\n")
		if err := os.Chmod(filepath.Join(hooks, hook), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := "[core]\n\tautocrlf = true\n\thooksPath = " + hooks + "\n\teditor = false\n" +
		"[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = false\n[user]\n\tsigningKey = none\n\tuseConfigOnly = true\n" +
		"[init]\n\tdefaultBranch = other\n\ttemplateDir = " + hooks + "\n[filter \"x\"]\n\tclean = false\n\trequired = true\n"
	write(t, home, ".gitconfig", config)
	// And in the repository itself.
	for _, args := range [][]string{
		{"core.autocrlf", "true"}, {"core.hooksPath", hooks}, {"commit.gpgSign", "true"}, {"core.fileMode", "false"},
	} {
		git(t, dir, append([]string{"config"}, args...)...)
	}
	write(t, dir, "windows.txt", "a\r\nb\r\n")
	l.config.Environment = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home,
		"GIT_DIR=/nowhere", "GIT_WORK_TREE=/nowhere", "GIT_INDEX_FILE=/nowhere", "GIT_OBJECT_DIRECTORY=/nowhere",
		"GIT_CONFIG_GLOBAL=" + filepath.Join(home, ".gitconfig"), "GIT_TEMPLATE_DIR=" + hooks,
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=core.autocrlf", "GIT_CONFIG_VALUE_0=true",
		"GIT_CONFIG_PARAMETERS='core.hooksPath=" + hooks + "'",
	}
	commit := snapshot(t, l, f)
	if got := git(t, bareOf(l), "cat-file", "blob", commit+":windows.txt"); got != "a\r\nb\r\n" {
		t.Errorf("line ends were changed: %q", got)
	}
	if author := git(t, bareOf(l), "log", "--format=%an <%ae> %cn %G?", commit); author != "archipel lab <lab@archipel.example> archipel lab N\n" {
		t.Errorf("the commit is by %q", author)
	}
	if ran, _ := filepath.Glob(filepath.Join(hooks, "ran-*")); len(ran) > 0 {
		t.Errorf("hooks ran: %q", ran)
	}
	if got, err := os.ReadDir(filepath.Join(bareOf(l), "hooks")); err == nil {
		for _, hook := range got {
			if !strings.HasSuffix(hook.Name(), ".sample") {
				t.Errorf("the served repository has hook %s", hook.Name())
			}
		}
	}
}

// Two branches of one repository hold the same tree.
func TestSnapshotForSeveralBranches(t *testing.T) {
	l, f := checkout(t)
	f.Sites[1].Facts.GitBranch = "release/2"
	if _, err := l.snapshot(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if a, b := git(t, bareOf(l), "rev-parse", "main^{tree}"), git(t, bareOf(l), "rev-parse", "release/2^{tree}"); a != b {
		t.Errorf("trees are %s and %s", a, b)
	}
}

func TestSnapshotAfterAKilledGit(t *testing.T) {
	l, f := checkout(t)
	snapshot(t, l, f)
	indexes := 0
	for _, dir := range []string{l.dir, bareOf(l)} {
		index := filepath.Join(dir, "index")
		if _, err := os.Stat(index); err != nil {
			continue
		}
		indexes++
		if err := os.WriteFile(index+".lock", nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if indexes != 1 {
		t.Fatalf("%d indexes", indexes)
	}
	write(t, l.config.Repository, "changed.txt", "after\n")
	sameTree(t, l, snapshot(t, l, f))
}

func TestSnapshotIsInterrupted(t *testing.T) {
	l, f := checkout(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.snapshot(ctx, f); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	sameTree(t, l, snapshot(t, l, f))
}

func TestRemoteOf(t *testing.T) {
	for name, test := range map[string]struct {
		url, branch string
		want        remote
	}{
		"as in the tree":      {"https://git.example.org/team/fleet.git", "main", remote{"git.example.org", "team/fleet.git", "main"}},
		"a branch of its own": {"https://git.example.org/team/fleet.git", "release/2", remote{"git.example.org", "team/fleet.git", "release/2"}},
		"a port":              {"https://git.example.net:8443/x", "main", remote{"git.example.net:8443", "x", "main"}},
		"path is cleaned":     {"https://git.example.org/../../team//./fleet.git/", "main", remote{"git.example.org", "team/fleet.git", "main"}},
	} {
		t.Run(name, func(t *testing.T) {
			site := &fleet.Site{Name: "site-a", Facts: fleet.Facts{GitURL: test.url, GitBranch: test.branch}}
			got, err := remoteOf(site)
			if err != nil || got != test.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	for _, url := range []string{"ssh://git@git.example.org/fleet.git", "http://git.example.org/fleet.git"} {
		_, err := remoteOf(&fleet.Site{Name: "site-b", Facts: fleet.Facts{GitURL: url}})
		if err == nil {
			t.Fatalf("%s is accepted", url)
		}
		for _, part := range []string{"site-b", url, "https"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error does not say %q: %v", part, err)
			}
		}
	}
}

// A site that pulls another branch or repository must be waited for at that one.
func TestSnapshotTellsTheRevisionOfEverySite(t *testing.T) {
	l, f := checkout(t)
	f.Sites[1].Facts.GitBranch = "canary"
	revisions, err := l.snapshot(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	for site, branch := range map[string]string{"site-a": "main", "site-b": "canary"} {
		want := branch + "@sha1:" + strings.TrimSpace(git(t, bareOf(l), "rev-parse", branch))
		if revisions[site] != want {
			t.Errorf("%s: got %q, want %q", site, revisions[site], want)
		}
	}
}

// Each repository has all objects, also when another one is served before it.
func TestSnapshotForSeveralRepositories(t *testing.T) {
	l, f := checkout(t)
	f.Sites[1].Facts.GitURL = "https://git.example.net/other.git"
	// git reads a file again that is as young as its index, which hides a shared one.
	old := now().Add(-time.Hour)
	for _, entry := range worktree(t, l.config.Repository) {
		_, name, _ := strings.Cut(entry, "\t")
		if err := os.Chtimes(filepath.Join(l.config.Repository, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	for _, content := range []string{"one\n", "two\n"} {
		write(t, l.config.Repository, "changed.txt", content)
		commit := snapshot(t, l, f)
		for _, bare := range []string{bareOf(l), filepath.Join(l.gitDir(), "other.git")} {
			if got := git(t, bare, "cat-file", "blob", "main:changed.txt"); got != content {
				t.Errorf("%s serves %q", bare, got)
			}
			if tree := git(t, bare, "rev-parse", "main^{tree}"); tree != git(t, bareOf(l), "rev-parse", commit+"^{tree}") {
				t.Errorf("%s serves another tree", bare)
			}
			git(t, bare, "fsck", "--strict")
		}
	}
}

// git reads these without any setting that names them (gitignore(5), gitattributes(5)).
func TestSnapshotMindsNoFilesOfTheUser(t *testing.T) {
	for _, folder := range []string{".config", "xdg"} {
		t.Run(folder, func(t *testing.T) {
			l, f := checkout(t)
			home := t.TempDir()
			write(t, home, folder+"/git/ignore", "*.txt\n")
			write(t, home, folder+"/git/attributes", "* text eol=crlf\n")
			l.config.Environment = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
			if folder == "xdg" {
				l.config.Environment = append(l.config.Environment, "XDG_CONFIG_HOME="+filepath.Join(home, folder))
			}
			write(t, l.config.Repository, "new.txt", "a\r\n")
			sameTree(t, l, snapshot(t, l, f))
		})
	}
}

func TestSnapshotKeepsWhatIsTrackedAndIgnored(t *testing.T) {
	l, f := checkout(t)
	write(t, l.config.Repository, "ignored/kept.txt", "kept\n")
	git(t, l.config.Repository, "add", "--force", "ignored/kept.txt")
	commit := snapshot(t, l, f)
	sameTree(t, l, commit)
}

// .git/info/exclude is what this checkout ignores, and may hold private files.
func TestSnapshotIgnoresWhatTheCheckoutExcludes(t *testing.T) {
	l, f := checkout(t)
	write(t, l.config.Repository, ".git/info/exclude", "private\n")
	write(t, l.config.Repository, "private", "canary\n")
	sameTree(t, l, snapshot(t, l, f))
}

func TestSnapshotReplacesSecretsOfAnyName(t *testing.T) {
	l, f := checkout(t)
	for _, name := range []string{"with space", "é", "-dash", "a\ttab"} {
		write(t, l.config.Repository, clusters+"/site-a/secrets/"+name+".sops.yaml", "of production\n")
	}
	sameTree(t, l, snapshot(t, l, f))
}

// A file that was served must not stay when it comes to be ignored.
func TestSnapshotForgetsWhatBecomesIgnored(t *testing.T) {
	l, f := checkout(t)
	write(t, l.config.Repository, "later", "canary\n")
	sameTree(t, l, snapshot(t, l, f))
	write(t, l.config.Repository, ".gitignore", "ignored/\n*.log\nlater\n")
	sameTree(t, l, snapshot(t, l, f))
}

// A site that leaves a branch must still be able to learn so from that branch.
func TestSnapshotGoesOnServingABranchThatNobodyNames(t *testing.T) {
	l, f := checkout(t)
	f.Sites[0].Facts.GitBranch = "next"
	snapshot := func() {
		if _, err := l.snapshot(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	snapshot()
	f.Sites[0].Facts.GitBranch = "main"
	write(t, l.config.Repository, "changed.txt", "back\n")
	snapshot()
	for _, branch := range []string{"main", "next"} {
		if got := git(t, bareOf(l), "cat-file", "blob", branch+":changed.txt"); got != "back\n" {
			t.Errorf("%s serves %q", branch, got)
		}
	}
}
