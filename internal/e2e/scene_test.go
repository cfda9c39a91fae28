package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"archipel/internal/kube"
	"archipel/internal/status"
	"archipel/internal/tool"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// scene is a copy of the repository and a lab of its own. The programs come
// from the cache that everybody shares.
type scene struct {
	binary string
	root   string // of the copy
	state  string // XDG_STATE_HOME
	env    []string

	mu  sync.Mutex
	all strings.Builder // everything that archipel printed, for the canary
}

func newScene(t *testing.T) *scene {
	t.Helper()
	if os.Getenv("ARCHIPEL_E2E") == "" {
		t.Skip("skipped, because it takes minutes: set ARCHIPEL_E2E=1, or run make test")
	}
	s := &scene{binary: os.Getenv("ARCHIPEL_BINARY"), root: t.TempDir(), state: t.TempDir()}
	if s.binary == "" {
		s.binary = filepath.Join(t.TempDir(), "archipel")
		build := exec.Command("go", "build", "-o", s.binary, "../../cmd/archipel")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building archipel: %v\n%s", err, out)
		}
	}
	for _, dir := range []string{"kubernetes", "lab"} {
		if err := os.CopyFS(filepath.Join(s.root, dir), os.DirFS(filepath.Join("../..", dir))); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.keepLogs(t)
		}
		for _, name := range []string{"", "two"} {
			if r := s.run(t, "lab", "down", "--name="+name); r.code != 0 {
				t.Errorf("lab down --name=%q: exit code %d\n%s", name, r.code, r.stderr)
			}
		}
	})
	return s
}

// keepLogs shows the ends of the lab's logs, which the clean-up deletes.
func (s *scene) keepLogs(t *testing.T) {
	_ = filepath.WalkDir(s.state, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == "podman" { // the disks of hosts
			return fs.SkipDir
		}
		if err == nil && strings.HasSuffix(name, ".log") {
			t.Logf("==> %s <==\n%s", name, strings.Join(tool.Tail(name, 2), "\n"))
		}
		return nil
	})
}

type result struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

// command is archipel as a user in the copy of the repository starts it.
func (s *scene) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+s.state, "KUBECONFIG=/dev/null", "ARCHIPEL_LAB=")
	cmd.Env = append(cmd.Env, s.env...)
	return cmd
}

func (s *scene) run(t *testing.T, args ...string) result {
	t.Helper()
	return s.wait(t, s.command(t.Context(), args...))
}

func (s *scene) wait(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	if t.Context().Err() != nil { // in a clean-up
		fresh := exec.Command(cmd.Path, cmd.Args[1:]...)
		fresh.Dir, fresh.Env = cmd.Dir, cmd.Env
		cmd = fresh
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	r := result{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String(), took: time.Since(began)}
	t.Logf("archipel %s: exit code %d after %s", strings.Join(cmd.Args[1:], " "), r.code, r.took.Round(100*time.Millisecond))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.WriteString(r.stdout + r.stderr)
	return r
}

// must runs archipel and expects an exit code.
func (s *scene) must(t *testing.T, code int, args ...string) result {
	t.Helper()
	r := s.run(t, args...)
	if r.code != code {
		t.Fatalf("archipel %s: exit code %d, want %d\nstdout:\n%s\nstderr:\n%s",
			strings.Join(args, " "), r.code, code, r.stdout, r.stderr)
	}
	return r
}

// status returns what archipel status says of one site.
func (s *scene) status(t *testing.T, code int, site string) status.Site {
	t.Helper()
	r := s.must(t, code, "status", "--output=json")
	var snapshot status.Snapshot
	if err := json.Unmarshal([]byte(r.stdout), &snapshot); err != nil {
		t.Fatalf("status is not JSON: %v\n%s", err, r.stdout)
	}
	for _, found := range snapshot.Sites {
		if found.Name == site {
			return found
		}
	}
	t.Fatalf("status does not list %s:\n%s", site, r.stdout)
	return status.Site{}
}

// rootCause expects the first cause of a site to be an object with words in its message.
func (s *scene) rootCause(t *testing.T, site, object string, words ...string) {
	t.Helper()
	found := s.status(t, 1, site)
	if len(found.Causes) == 0 {
		t.Fatalf("%s is %s, but no cause is named", site, found.State)
	}
	cause := found.Causes[0]
	if cause.Object.String() != object {
		t.Errorf("root cause of %s is %s (%s), want %s", site, cause.Object, cause.Message, object)
	}
	for _, word := range words {
		if !strings.Contains(cause.Message, word) {
			t.Errorf("the cause %q does not say %q", cause.Message, word)
		}
	}
}

// edit replaces text in a file of the copy and returns what undoes it.
func (s *scene) edit(t *testing.T, file, old, replacement string) (undo func()) {
	t.Helper()
	name := filepath.Join(s.root, filepath.FromSlash(file))
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(before, []byte(old)) {
		t.Fatalf("%s does not hold %q", file, old)
	}
	after := bytes.Replace(before, []byte(old), []byte(replacement), 1)
	if err := os.WriteFile(name, after, 0o644); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(name, before, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// labDir is the state folder of the scene's lab.
func (s *scene) labDir(t *testing.T) string {
	t.Helper()
	r := s.must(t, 0, "lab", "kubeconfig")
	return filepath.Dir(strings.TrimSpace(r.stdout))
}

func (s *scene) cluster(t *testing.T, site string) *kube.Cluster {
	t.Helper()
	cluster, err := kube.Open(kube.Config{Paths: []string{filepath.Join(s.labDir(t), "kubeconfig")}, Context: site})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

func get(t *testing.T, cluster *kube.Cluster, kind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	object, err := cluster.Get(t.Context(), kindOf(kind), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func kindOf(name string) schema.GroupVersionKind {
	kinds := map[string]schema.GroupVersionKind{
		"Secret":     {Version: "v1", Kind: "Secret"},
		"Service":    {Version: "v1", Kind: "Service"},
		"Deployment": {Group: "apps", Version: "v1", Kind: "Deployment"},
	}
	if kind, ok := kinds[name]; ok {
		return kind
	}
	return kube.Kind(name)
}

// process returns the lab's process of that name, for example site-a/etcd.
func (s *scene) process(t *testing.T, name string) tool.Process {
	t.Helper()
	processes, err := tool.Running(s.labDir(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no process %s runs", name)
	return tool.Process{}
}

func (s *scene) kill(t *testing.T, name string) {
	t.Helper()
	p := s.process(t, name)
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for p.Alive() {
		time.Sleep(10 * time.Millisecond)
	}
}

// background starts archipel and returns once its stderr holds words.
func (s *scene) background(t *testing.T, words string, args ...string) (cmd *exec.Cmd, end func() result) {
	t.Helper()
	cmd = s.command(context.Background(), args...)
	out, err := os.CreateTemp(t.TempDir(), "output")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	read := func() string {
		text, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(read(), words) {
		select {
		case <-ended:
			t.Fatalf("archipel %v ended before it said %q:\n%s", args, words, read())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("archipel %v does not say %q:\n%s", args, words, read())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return cmd, func() result {
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatalf("archipel %v does not end:\n%s", args, read())
		}
		return result{code: cmd.ProcessState.ExitCode(), stderr: read()}
	}
}
