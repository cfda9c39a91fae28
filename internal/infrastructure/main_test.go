package infrastructure

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the generated files")

// kubernetes is the tree, from here.
const kubernetes = "../../kubernetes"

// long skips a test that takes minutes.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("ARCHIPEL_E2E") == "" {
		t.Skip("skipped, because it takes minutes: set ARCHIPEL_E2E=1, or run make test-terraform")
	}
}

// mirrored is the folder that make terraform-tools fills.
func mirrored(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(home, ".cache")
	}
	dir := filepath.Join(cache, "archipel", "terraform")
	for _, name := range []string{"cli.tfrc", "bin/tofu", "mirror"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Skipf("skipped, because there is no %s: make terraform-tools builds it", filepath.Join(dir, name))
		}
	}
	return dir
}

// eachTool runs a test with OpenTofu, and with Terraform where it is installed.
func eachTool(t *testing.T, test func(t *testing.T, w *workspace)) {
	t.Helper()
	dir := mirrored(t)
	t.Run("tofu", func(t *testing.T) { test(t, newWorkspace(t, dir, filepath.Join(dir, "bin", "tofu"))) })
	t.Run("terraform", func(t *testing.T) {
		program, err := exec.LookPath("terraform")
		if err != nil {
			t.Skip("skipped, because terraform is not in PATH; its licence forbids nobody to install it, but archipel does not do it")
		}
		test(t, newWorkspace(t, dir, program))
	})
}

// workspace is a copy of the tree that one program works in. The lock files stay behind: they
// hold the digests of the registry's providers, and the mirror's was built here.
type workspace struct {
	dir, program string
	env          []string
}

func newWorkspace(t *testing.T, mirror, program string) *workspace {
	t.Helper()
	// Sockets have short names.
	dir, err := os.MkdirTemp("", "archipel-tf-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	w := &workspace{dir: dir, program: program, env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TF_CLI_CONFIG_FILE=" + filepath.Join(mirror, "cli.tfrc"),
		"TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1", "TF_PLUGIN_CACHE_DIR=", "NO_COLOR=1",
	}}
	if err := os.CopyFS(filepath.Join(dir, "kubernetes", "terraform"), os.DirFS(filepath.Join(kubernetes, "terraform"))); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "kubernetes", "ansible", "inventories"), os.DirFS(filepath.Join(kubernetes, "ansible", "inventories"))); err != nil {
		t.Fatal(err)
	}
	locks, err := filepath.Glob(w.path("kubernetes/terraform/envs/*/.terraform.lock.hcl"))
	if err != nil || len(locks) == 0 {
		t.Fatalf("no lock file in the environments: %v", err)
	}
	for _, lock := range locks {
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *workspace) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

// edit replaces text in a file, which must be there.
func (w *workspace) edit(t *testing.T, name, from, to string) {
	t.Helper()
	data, err := os.ReadFile(w.path(name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), from) {
		t.Fatalf("%s does not hold %q:\n%s", name, from, data)
	}
	w.write(t, name, strings.ReplaceAll(string(data), from, to))
}

func (w *workspace) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.path(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// result is what a run of the program gave.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) all() string { return r.stdout + r.stderr }

// command is the program, in a folder of the workspace.
func (w *workspace) command(ctx context.Context, folder string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, w.program, args...)
	command.Dir, command.Env = w.path(folder), w.env
	return command
}

func (w *workspace) run(t *testing.T, folder string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command := w.command(ctx, folder, args...)
	command.WaitDelay = 5 * time.Second // a provider keeps the streams
	return finish(t, command)
}

// must is run, with the exit code that is expected.
func (w *workspace) must(t *testing.T, code int, folder string, args ...string) result {
	t.Helper()
	r := w.run(t, folder, args...)
	if r.code != code {
		t.Fatalf("%s %s: exit code %d, want %d\n%s", filepath.Base(w.program), strings.Join(args, " "), r.code, code, r.all())
	}
	return r
}

func finish(t *testing.T, command *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	r := result{stdout: stdout.String(), stderr: stderr.String()}
	failed, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case ok:
		r.code = failed.ExitCode()
	case err != nil:
		t.Fatalf("%s: %v", command, err)
	}
	return r
}

// unwrapped is a message without the line breaks and the frame that the programs set it in.
func unwrapped(text string) string {
	return strings.Join(strings.Fields(strings.NewReplacer("│", " ", "╷", " ", "╵", " ").Replace(text)), " ")
}
