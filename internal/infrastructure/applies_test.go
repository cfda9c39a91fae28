package infrastructure

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The doctor takes every tool that runs on this machine in a folder of that name for one that may
// hold the lock: it must not be the site whose machines other tests make.
const siteB = "kubernetes/terraform/envs/site-b"

// once is an environment without machines. What is applied says so with a file, and lasts for as
// long as the file hold is there; another trigger is another apply.
const once = `
resource "terraform_data" "run" {
  triggers_replace = ["TRIGGER"]

  provisioner "local-exec" {
    command = "touch HOLD.seen; while test -e HOLD; do sleep 0.2; done"
  }
}
`

// TestApplies lets eight people apply the same plan of a site at once, through archipel, and kills
// the tool of one who applies.
func TestApplies(t *testing.T) {
	long(t)
	binary := archipel(t)
	eachTool(t, func(t *testing.T, w *workspace) {
		kept(t, w, startStore(t))
		w.write(t, siteB+"/versions.tf", "terraform {\n  required_version = \">= 1.10\"\n}\n")
		w.write(t, siteB+"/outputs.tf", "")
		people := make([]*person, 8)
		for i := range people {
			people[i] = &person{w, binary, w.path("home/" + string(rune('a'+i)))}
		}
		people[0].must(t, 0, "state", "backend", "init") // so that the doctor finds nothing wrong with the store
		for i, mode := range []struct {
			name  string
			locks int
		}{{"dynamodb", 1}, {"both", 2}, {"lockfile", 1}} {
			if i > 0 {
				people[0].must(t, 0, "state", "migrate-lock", "--yes")
			}
			for _, test := range []struct {
				name string
				run  func(*testing.T, []*person, int)
			}{{"eight at once", eightPeople}, {"a kill", killedPerson}} {
				name := mode.name + ", " + test.name
				w.write(t, siteB+"/main.tf", strings.NewReplacer("TRIGGER", name, "HOLD", w.path("hold")).Replace(once))
				if !t.Run(name, func(t *testing.T) { test.run(t, people, mode.locks) }) {
					t.FailNow()
				}
			}
		}
	})
}

func eightPeople(t *testing.T, people []*person, locks int) {
	first, w := people[0], people[0].w
	// One plan, which all have: else they would keep each other from planning already.
	first.must(t, 0, "plan", "site-b")
	for _, p := range people[1:] {
		if err := os.RemoveAll(p.home); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(p.home, os.DirFS(first.home)); err != nil {
			t.Fatal(err)
		}
	}
	w.write(t, "hold", "")
	type outcome struct {
		p *person
		result
	}
	outcomes := make(chan outcome, len(people))
	for _, p := range people {
		command := p.command(t.Context(), "apply", "site-b", "--yes")
		var stdout, stderr bytes.Buffer
		command.Stdout, command.Stderr = &stdout, &stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			_ = command.Wait() // the exit code says it
			outcomes <- outcome{p, result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}}
		}()
	}
	next := func() outcome {
		select {
		case o := <-outcomes:
			return o
		case <-time.After(3 * time.Minute):
			t.Fatal("not all have ended")
			return outcome{}
		}
	}
	holder := regexp.MustCompile(`error: the state of site-b is locked by \S+@\S+ \(apply\) since \S+Z\nhint: wait for it`)
	losers := make([]outcome, 0, len(people))
	for range people[1:] {
		o := next()
		if o.code != 3 || !holder.MatchString(o.stderr) {
			t.Errorf("exit code %d, and the holder is not named:\n%s", o.code, o.all())
		}
		losers = append(losers, o)
	}
	// The eighth holds the lock, and the doctor knows that it runs.
	first.held(t, locks, "no")
	if r := first.must(t, 3, "state", "doctor", "site-b", "--free", "--yes"); !strings.Contains(r.stderr, "the lock of site-b is in use: it runs on this machine") {
		t.Errorf("a lock that is in use:\n%s", r.all())
	}
	if err := os.Remove(w.path("hold")); err != nil {
		t.Fatal(err)
	}
	if o := next(); o.code != 0 || !strings.Contains(o.stderr, "next: ") {
		t.Errorf("the one that had the lock: exit code %d\n%s", o.code, o.all())
	}
	if r := losers[0].p.must(t, 2, "apply", "site-b", "--yes"); !strings.Contains(r.stderr, "the plan of site-b is stale: the state was written since it was made\nhint: archipel plan site-b makes a new one") {
		t.Errorf("what the winner has done is not said:\n%s", r.all())
	}
	first.must(t, 0, "plan", "site-b", "--exit-code")
	first.must(t, 0, "state", "doctor", "site-b")
}

// killedPerson applies, and loses the tool half way.
func killedPerson(t *testing.T, people []*person, locks int) {
	p, w := people[0], people[0].w
	p.must(t, 0, "plan", "site-b")
	w.write(t, "hold", "")
	if err := os.RemoveAll(w.path("hold.seen")); err != nil {
		t.Fatal(err)
	}
	command := p.command(t.Context(), "apply", "site-b", "--yes")
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if _, err := os.Stat(w.path("hold.seen")); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the apply does not begin:\n%s", &output)
		}
	}
	tools, err := exec.CommandContext(t.Context(), "pgrep", "--parent", strconv.Itoa(command.Process.Pid)).Output()
	if err != nil {
		t.Fatalf("looking for the tool: %v", err)
	}
	for _, id := range strings.Fields(string(tools)) {
		pid, err := strconv.Atoi(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(w.path("hold")); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait() // the exit code says it
	if code := command.ProcessState.ExitCode(); code != 3 || !strings.Contains(output.String(), "hint: archipel state doctor site-b says whether the lock is left") {
		t.Errorf("exit code %d, and what to do is not said:\n%s", code, &output)
	}
	if r := p.must(t, 3, "plan", "site-b"); !strings.Contains(r.stderr, "the state of site-b is locked by ") {
		t.Errorf("the lock that was left:\n%s", r.all())
	}
	p.held(t, locks, "yes")
	p.must(t, 0, "state", "doctor", "site-b", "--free", "--yes")
	p.must(t, 0, "apply", "site-b", "--yes")
	p.must(t, 0, "plan", "site-b", "--exit-code")
	p.must(t, 0, "state", "doctor", "site-b")
}

// A state in a file stays what and where it is when init is run anew, in the environment or in the
// shadow that providers built here need.
func TestLocalState(t *testing.T) {
	long(t)
	binary := archipel(t)
	eachTool(t, func(t *testing.T, w *workspace) {
		w.write(t, siteB+"/versions.tf", "terraform {\n  required_version = \">= 1.10\"\n}\n")
		w.write(t, siteB+"/outputs.tf", "")
		w.write(t, siteB+"/main.tf", strings.NewReplacer("TRIGGER", "local", "HOLD", w.path("hold")).Replace(once))
		w.write(t, siteB+"/backend_override.tf", "terraform {\n  backend \"local\" {}\n}\n")
		p := &person{w, binary, w.path("home/local")}
		cache := filepath.Join(p.home, ".cache", "archipel", "terraform")
		if err := os.MkdirAll(cache, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"cli.tfrc", "mirror"} {
			if err := os.Symlink(filepath.Join(mirrored(t), name), filepath.Join(cache, name)); err != nil {
				t.Fatal(err)
			}
		}
		given := w.env
		builtHere := slices.DeleteFunc(slices.Clone(w.env), func(v string) bool { return strings.HasPrefix(v, "TF_CLI_CONFIG_FILE=") })
		w.env = builtHere
		p.must(t, 0, "apply", "site-b", "--yes")
		for i, env := range [][]string{builtHere, builtHere, given, given, builtHere} {
			w.env = env
			w.write(t, siteB+"/comment.tf", fmt.Sprintf("# init runs once more: %d\n", i))
			p.must(t, 0, "plan", "site-b", "--exit-code")
			if data, err := os.ReadFile(w.path(siteB + "/terraform.tfstate")); err != nil || !strings.Contains(string(data), "terraform_data") {
				t.Fatalf("the state of run %d: %v\n%s", i, err, data)
			}
		}
	})
}

// person is somebody who runs archipel with the tool of a workspace, from a home of their own.
type person struct {
	w            *workspace
	binary, home string
}

func (p *person) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, p.binary, args...)
	command.Dir, command.WaitDelay = p.w.dir, 5*time.Second
	command.Env = slices.Concat(p.w.env, []string{"HOME=" + p.home, "XDG_CACHE_HOME=", "XDG_STATE_HOME=", "AWS_PROFILE=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null"})
	if args[0] == "plan" || args[0] == "apply" {
		command.Args = append(command.Args, "--tool="+p.w.program)
	}
	return command
}

func (p *person) must(t *testing.T, code int, args ...string) result {
	t.Helper()
	r := finish(t, p.command(t.Context(), args...))
	if r.code != code {
		t.Fatalf("archipel %s: exit code %d, want %d\n%s", strings.Join(args, " "), r.code, code, r.all())
	}
	return r
}

// held asks the doctor for the locks of site-b, and whether whoever took them is gone.
func (p *person) held(t *testing.T, locks int, stale string) {
	t.Helper()
	var report struct {
		Sites []struct {
			Locks []struct{ Who, Stale string }
		}
	}
	r := p.must(t, 1, "state", "doctor", "site-b", "--output", "json")
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || len(report.Sites) != 1 || len(report.Sites[0].Locks) != locks {
		t.Fatalf("not %d locks: %v\n%s", locks, err, r.all())
	}
	for _, lock := range report.Sites[0].Locks {
		if lock.Who == "" || lock.Stale != stale {
			t.Errorf("stale is not %s: %+v", stale, lock)
		}
	}
}

// archipel is the program: $ARCHIPEL_BINARY, or built here.
func archipel(t *testing.T) string {
	t.Helper()
	if binary := os.Getenv("ARCHIPEL_BINARY"); binary != "" {
		return binary
	}
	binary := filepath.Join(t.TempDir(), "archipel")
	if r := finish(t, exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/archipel")); r.code != 0 {
		t.Fatalf("building archipel:\n%s", r.all())
	}
	return binary
}
