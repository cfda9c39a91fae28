package infrastructure

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// store stands for an S3-compatible store and its lock table.
type store struct{ url string }

func startStore(t *testing.T) *store {
	t.Helper()
	program := os.Getenv("ARCHIPEL_MOTO")
	if program == "" {
		t.Skip("skipped, because ARCHIPEL_MOTO does not name moto_server: make moto installs it, make test-terraform names it")
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "-H", "127.0.0.1", "-p", port)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	s := &store{url: "http://127.0.0.1:" + port}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", "127.0.0.1:"+port); err == nil {
			_ = connection.Close()
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	s.call(t, http.MethodPut, "/archipel-terraform", "", "")
	s.call(t, http.MethodPut, "/archipel-terraform?versioning", "", `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>`)
	s.call(t, http.MethodPost, "/", "DynamoDB_20120810.CreateTable", `{"TableName":"archipel-terraform-locks","BillingMode":"PAY_PER_REQUEST",`+
		`"AttributeDefinitions":[{"AttributeName":"LockID","AttributeType":"S"}],"KeySchema":[{"AttributeName":"LockID","KeyType":"HASH"}]}`)
	return s
}

func (s *store) call(t *testing.T, method, path, target, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	service := "s3"
	if target != "" {
		service = "dynamodb"
		request.Header.Set("X-Amz-Target", target)
		request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	}
	// The stand-in reads the service in it, and believes the rest.
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=archipel/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s\n%s", method, path, response.Status, text)
	}
	return string(text)
}

const (
	states = "states"
	lockID = `ID:\s+([0-9a-f-]{36})`

	// What is applied lasts for as long as the file hold is there.
	held = `
terraform {
  backend "s3" {}
}

variable "run" {
  type = string
}

resource "terraform_data" "kept" {
  input = "kept"
}

resource "terraform_data" "run" {
  triggers_replace = [var.run]

  provisioner "local-exec" {
    command = "while test -e hold; do sleep 0.2; done"
  }
}
`
)

// kept prepares a workspace whose state is in the store. The fleet's own backend.hcl says how, but
// for the addresses.
func kept(t *testing.T, w *workspace, s *store) {
	t.Helper()
	w.env = append(w.env, "AWS_ACCESS_KEY_ID=archipel", "AWS_SECRET_ACCESS_KEY=archipel-secret", "AWS_EC2_METADATA_DISABLED=true")
	w.write(t, states+"/main.tf", held)
	w.edit(t, "kubernetes/terraform/backend.hcl", "https://s3.archipel.example", s.url)
	w.edit(t, "kubernetes/terraform/backend.hcl", "https://dynamodb.archipel.example", s.url)
}

func (w *workspace) initStates(t *testing.T, args ...string) result {
	t.Helper()
	return w.must(t, 0, states, append([]string{"init", "-input=false", "-no-color", "-reconfigure",
		"-backend-config=" + w.path("kubernetes/terraform/backend.hcl"), "-backend-config=key=site-a/terraform.tfstate"}, args...)...)
}

func (w *workspace) applyArgs(run string) []string {
	return []string{"apply", "-input=false", "-no-color", "-auto-approve", "-var=run=" + run}
}

// running starts an apply that lasts until the file hold is removed, and waits until it changes
// something.
func (w *workspace) running(t *testing.T, run string) (*exec.Cmd, *syncBuffer) {
	t.Helper()
	w.write(t, states+"/hold", "")
	command := w.command(context.WithoutCancel(t.Context()), states, w.applyArgs(run)...)
	log := &syncBuffer{}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(log.String(), "Provisioning with"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the apply does not begin:\n%s", log)
		}
	}
	return command, log
}

func (w *workspace) release(t *testing.T) {
	t.Helper()
	if err := os.Remove(w.path(states + "/hold")); err != nil {
		t.Fatal(err)
	}
}

type syncBuffer struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(data []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.Write(data)
}

func (b *syncBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.String()
}

// TestStates holds the lock of a state against eight that want it, against a kill, and moves it.
func TestStates(t *testing.T) {
	long(t)
	eachTool(t, func(t *testing.T, w *workspace) {
		s := startStore(t)
		kept(t, w, s)
		lockfile := []string{"-backend-config=use_lockfile=true", "-backend-config=dynamodb_table="}
		for _, mode := range []struct {
			name string
			args []string
		}{{"DynamoDB", nil}, {"both locks", lockfile[:1]}, {"lockfile", lockfile}} {
			if !t.Run(mode.name, func(t *testing.T) {
				w.initStates(t, mode.args...)
				w.must(t, 0, states, w.applyArgs("first of "+mode.name)...)
				t.Run("eight at once", func(t *testing.T) { w.eight(t, mode.name) })
				t.Run("a kill", func(t *testing.T) { w.killed(t, mode.name) })
			}) {
				t.FailNow()
			}
		}
		t.Run("a lost state", func(t *testing.T) { w.lost(t, s) })
	})
}

func (w *workspace) eight(t *testing.T, mode string) {
	w.write(t, states+"/hold", "")
	const n = 8
	results := make(chan result, n)
	for i := range n {
		command := w.command(t.Context(), states, w.applyArgs(fmt.Sprintf("%d of %s", i, mode))...)
		var stdout, stderr bytes.Buffer
		command.Stdout, command.Stderr = &stdout, &stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			_ = command.Wait() // the exit code says it
			results <- result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
		}()
	}
	holders := map[string]int{}
	for i := range n {
		if i == n-1 {
			w.release(t)
		}
		select {
		case r := <-results:
			if i == n-1 {
				if r.code != 0 || !strings.Contains(r.stdout, "Apply complete!") {
					t.Errorf("the one that had the lock: exit code %d\n%s", r.code, r.all())
				}
				continue
			}
			id, who := regexp.MustCompile(lockID).FindStringSubmatch(r.stderr), regexp.MustCompile(`Who:\s+(\S+@\S+)`).FindStringSubmatch(r.stderr)
			if r.code != 1 || !strings.Contains(r.stderr, "Error acquiring the state lock") || id == nil || who == nil {
				t.Errorf("exit code %d, and the holder is not named:\n%s", r.code, r.all())
				continue
			}
			holders[id[1]]++
		case <-time.After(3 * time.Minute):
			t.Fatalf("%d of %d have ended", i, n)
		}
	}
	if len(holders) != 1 {
		t.Errorf("%d holders, want one: %v", len(holders), holders)
	}
}

func (w *workspace) killed(t *testing.T, mode string) {
	before := w.must(t, 0, states, "state", "list").stdout
	command, _ := w.running(t, "killed with "+mode)
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	w.release(t)
	_ = command.Wait() // it was killed
	r := w.must(t, 1, states, "plan", "-input=false", "-no-color", "-var=run=after")
	id := regexp.MustCompile(lockID).FindStringSubmatch(r.stderr)
	if id == nil || !strings.Contains(r.stderr, "OperationTypeApply") {
		t.Fatalf("the lock of the one that was killed is not named:\n%s", r.all())
	}
	w.must(t, 0, states, "force-unlock", "-force", id[1])
	if after := w.must(t, 0, states, "state", "list").stdout; !strings.Contains(after, "terraform_data.kept") {
		t.Errorf("the state held\n%sand holds\n%s", before, after)
	}
	w.must(t, 0, states, w.applyArgs("after the kill with "+mode)...)
	if r := w.run(t, states, "plan", "-input=false", "-no-color", "-detailed-exitcode", "-var=run=after the kill with "+mode); r.code != 0 {
		t.Errorf("a second plan is not empty:\n%s", r.all())
	}
}

// lost deletes the state from the store and brings its last version back.
func (w *workspace) lost(t *testing.T, s *store) {
	const object = "/archipel-terraform/site-a/terraform.tfstate"
	s.call(t, http.MethodDelete, object, "", "")
	if r := w.run(t, states, "state", "list"); strings.Contains(r.stdout, "kept") {
		t.Fatalf("the state is still there:\n%s", r.all())
	}
	listed := s.call(t, http.MethodGet, "/archipel-terraform?versions&prefix=site-a/terraform.tfstate", "", "")
	version := regexp.MustCompile(`(?s)<Version>.*?<Key>site-a/terraform.tfstate</Key>.*?<VersionId>([^<]+)</VersionId>`).FindStringSubmatch(listed)
	if version == nil {
		t.Fatalf("no version is kept:\n%s", listed)
	}
	w.write(t, states+"/last.tfstate", s.call(t, http.MethodGet, object+"?versionId="+version[1], "", ""))
	w.must(t, 0, states, "state", "push", "last.tfstate")
	if r := w.must(t, 0, states, "state", "list"); !slices.Equal(strings.Fields(r.stdout), []string{"terraform_data.kept", "terraform_data.run"}) {
		t.Errorf("the state holds %s", r.stdout)
	}
	if _, err := os.Stat(filepath.Join(w.dir, states, "terraform.tfstate")); err == nil {
		t.Error("a state was left in the folder")
	}
}
