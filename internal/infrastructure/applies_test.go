package infrastructure

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// once is an environment without machines. What is applied lasts for as long as the file hold is
// there; another trigger is another apply.
const once = `
resource "terraform_data" "run" {
  triggers_replace = ["TRIGGER"]

  provisioner "local-exec" {
    command = "while test -e HOLD; do sleep 0.2; done"
  }
}
`

// TestApplies lets eight people apply the same plan of a site at once, through archipel.
func TestApplies(t *testing.T) {
	long(t)
	binary := archipel(t)
	eachTool(t, func(t *testing.T, w *workspace) {
		kept(t, w, startStore(t))
		w.write(t, siteA+"/versions.tf", "terraform {\n  required_version = \">= 1.10\"\n}\n")
		w.write(t, siteA+"/outputs.tf", "")
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
			if !t.Run(mode.name, func(t *testing.T) {
				w.write(t, siteA+"/main.tf", strings.NewReplacer("TRIGGER", mode.name, "HOLD", w.path("hold")).Replace(once))
				eightPeople(t, people, mode.locks)
			}) {
				t.FailNow()
			}
		}
	})
}

func eightPeople(t *testing.T, people []*person, locks int) {
	first, w := people[0], people[0].w
	// One plan, which all have: else they would keep each other from planning already.
	first.must(t, 0, "plan", "site-a")
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
		command := p.command(t.Context(), "apply", "site-a", "--yes")
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
	holder := regexp.MustCompile(`error: the state of site-a is locked by \S+@\S+ \(apply\) since \S+Z\nhint: wait for it`)
	losers := make([]outcome, 0, len(people))
	for range people[1:] {
		o := next()
		if o.code != 3 || !holder.MatchString(o.stderr) {
			t.Errorf("exit code %d, and the holder is not named:\n%s", o.code, o.all())
		}
		losers = append(losers, o)
	}
	// The eighth holds the lock, and the doctor knows that it runs.
	var report struct {
		Sites []struct {
			Locks []struct{ Who, Stale string }
		}
	}
	r := first.must(t, 1, "state", "doctor", "site-a", "--output", "json")
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || len(report.Sites) != 1 || len(report.Sites[0].Locks) != locks {
		t.Fatalf("not %d locks: %v\n%s", locks, err, r.all())
	}
	for _, lock := range report.Sites[0].Locks {
		if lock.Who == "" || lock.Stale != "no" {
			t.Errorf("the lock of one who runs: %+v", lock)
		}
	}
	if err := os.Remove(w.path("hold")); err != nil {
		t.Fatal(err)
	}
	if o := next(); o.code != 0 || !strings.Contains(o.stderr, "next: ") {
		t.Errorf("the one that had the lock: exit code %d\n%s", o.code, o.all())
	}
	if r := losers[0].p.must(t, 2, "apply", "site-a", "--yes"); !strings.Contains(r.stderr, "the plan of site-a is stale: the state was written since it was made\nhint: archipel plan site-a makes a new one") {
		t.Errorf("what the winner has done is not said:\n%s", r.all())
	}
	first.must(t, 0, "plan", "site-a", "--exit-code")
	first.must(t, 0, "state", "doctor", "site-a")
}

// person is somebody who runs archipel with the tool of a workspace, from a home of their own.
type person struct {
	w            *workspace
	binary, home string
}

func (p *person) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, p.binary, args...)
	command.Dir, command.WaitDelay = p.w.dir, 5*time.Second
	command.Env = append(p.w.env, "HOME="+p.home, "XDG_CACHE_HOME=", "XDG_STATE_HOME=", "AWS_PROFILE=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
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
