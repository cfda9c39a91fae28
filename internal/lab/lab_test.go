package lab

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"archipel/internal/tool"
)

func TestNameIsOfTheCheckout(t *testing.T) {
	name := func(repository, given string) string {
		return New(Config{Repository: repository, StateHome: "/state", Name: given}).Name()
	}
	if a, b := name("/one/fleet", ""), name("/two/fleet", ""); a == b || !strings.HasPrefix(a, "fleet-") || a != name("/one/fleet", "") {
		t.Errorf("names are %s and %s", a, b)
	}
	if got := name("/one/fleet", "mine"); got != "mine" {
		t.Errorf("got %s", got)
	}
}

func TestLock(t *testing.T) {
	l := newLab(t)
	unlock, err := l.lock()
	if err != nil {
		t.Fatal(err)
	}
	second := New(l.config)
	_, err = second.lock()
	var busy *BusyError
	if !errors.As(err, &busy) || !strings.Contains(err.Error(), l.dir) {
		t.Fatalf("got %v", err)
	}
	if err := second.Down(nil, false); !errors.As(err, &busy) {
		t.Errorf("Down meanwhile: %v", err)
	}
	if _, err := second.Sync(t.Context(), testFleet("site-a")); !errors.As(err, &busy) {
		t.Errorf("Sync meanwhile: %v", err)
	}
	unlock()
	unlock, err = second.lock()
	if err != nil {
		t.Fatalf("after the first let go: %v", err)
	}
	unlock()
	info, err := os.Stat(l.dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v, %v", info.Mode(), err)
	}
}

func TestLockEndsWithTheProcess(t *testing.T) {
	l := newLab(t)
	command := exec.Command(os.Args[0])
	command.Env = []string{lockVariable + "=" + l.config.StateHome}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	var busy *BusyError
	if _, err := l.lock(); !errors.As(err, &busy) {
		t.Fatalf("while it runs: %v", err)
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait() // it was killed
	unlock, err := l.lock()
	if err != nil {
		t.Fatalf("after it was killed: %v", err)
	}
	unlock()
}

func TestRecord(t *testing.T) {
	l := newLab(t)
	if _, err := l.readRecord(); !errors.Is(err, os.ErrNotExist) || l.Exists() {
		t.Errorf("of no lab: %v", err)
	}
	want := record{Repository: "/fleet", Slot: 12, Sites: []string{"site-a"}}
	if err := l.writeRecord(want); err != nil {
		t.Fatal(err)
	}
	got, err := l.readRecord()
	if err != nil || got.Slot != 12 || got.Repository != "/fleet" || !slices.Equal(got.Sites, want.Sites) || !l.Exists() {
		t.Errorf("got %+v, %v", got, err)
	}
	private(t, l.dir)
	if err := os.WriteFile(l.recordFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.readRecord(); err == nil || !strings.Contains(err.Error(), l.recordFile()) {
		t.Errorf("a broken record: %v", err)
	}
}

func TestWriteFileReplaces(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("a longer text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(file, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, dir); len(got) != 1 || got["file"] != "new" {
		t.Errorf("got %q", got)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if err := writeFile(filepath.Join(dir, "no", "file"), nil); err == nil {
		t.Error("wrote into a folder that is not there")
	}
}

// start starts a program in the place of one of the lab's.
func (l *Lab) startFake(t *testing.T, name string) tool.Process {
	t.Helper()
	sleep, err := tool.Find("sleep")
	if err != nil {
		t.Skip(err)
	}
	p, err := tool.Start(tool.Daemon{Group: l.dir, Name: name, Path: sleep, Args: []string{"60"}, Log: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tool.Stop([]tool.Process{p}, 0); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestDownOfNothing(t *testing.T) {
	home := t.TempDir()
	l := New(Config{Repository: "/fleet", StateHome: filepath.Join(home, "state")})
	for _, keep := range []bool{false, true} {
		if err := l.Down(nil, keep); err != nil {
			t.Fatal(err)
		}
	}
	if got := everything(t, home); len(got) != 0 {
		t.Errorf("left are %q", got)
	}
	if entries, _ := os.ReadDir(home); len(entries) != 0 {
		t.Error("Down has made a folder")
	}
}

// raised returns a lab whose record and processes say that two sites run.
func raised(t *testing.T) (l *Lab, a, b, upstream tool.Process) {
	t.Helper()
	l = newLab(t)
	if err := os.MkdirAll(l.config.StateHome, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.writeRecord(record{Slot: 12, Sites: []string{"site-a", "site-b"}}); err != nil {
		t.Fatal(err)
	}
	for _, site := range []string{"site-a", "site-b"} {
		write(t, l.siteDir(site), "etcd/data", "")
	}
	return l, l.startFake(t, "site-a/etcd"), l.startFake(t, "site-b/etcd"), l.startFake(t, processName("", upstreamComponent))
}

func TestDownOfASite(t *testing.T) {
	l, a, b, upstream := raised(t)
	if err := l.Down([]string{"site-a"}, false); err != nil {
		t.Fatal(err)
	}
	if a.Alive() || !b.Alive() || !upstream.Alive() {
		t.Errorf("alive are site-a %v, site-b %v, upstream %v", a.Alive(), b.Alive(), upstream.Alive())
	}
	if sites, err := l.Sites(); err != nil || !slices.Equal(sites, []string{"site-b"}) {
		t.Errorf("sites are %q, %v", sites, err)
	}
	if _, err := os.Stat(l.siteDir("site-a")); !errors.Is(err, os.ErrNotExist) {
		t.Error("its state is left")
	}
	// With the last site goes all that is left.
	if err := l.Down([]string{"site-b"}, false); err != nil {
		t.Fatal(err)
	}
	if b.Alive() || upstream.Alive() {
		t.Error("something runs on")
	}
	if entries, err := os.ReadDir(l.config.StateHome); err != nil || len(entries) != 0 {
		t.Errorf("left are %v, %v", entries, err)
	}
}

func TestDownKeepsState(t *testing.T) {
	l, a, b, upstream := raised(t)
	if err := l.Down(nil, true); err != nil {
		t.Fatal(err)
	}
	if a.Alive() || b.Alive() || upstream.Alive() {
		t.Error("something runs on")
	}
	if sites, err := l.Sites(); err != nil || len(sites) != 2 {
		t.Errorf("sites are %q, %v", sites, err)
	}
	if _, err := os.Stat(filepath.Join(l.siteDir("site-a"), "etcd", "data")); err != nil {
		t.Error(err)
	}
}

// Another lab of the same user must not notice.
func TestDownSparesOtherLabs(t *testing.T) {
	l, _, _, _ := raised(t)
	config := l.config
	config.Name = "another"
	other := New(config)
	if err := os.MkdirAll(other.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := other.writeRecord(record{Slot: 13, Sites: []string{"site-a"}}); err != nil {
		t.Fatal(err)
	}
	p := other.startFake(t, "site-a/etcd")
	if err := l.Down(nil, false); err != nil {
		t.Fatal(err)
	}
	if !p.Alive() || !other.Exists() {
		t.Error("the other lab was taken down")
	}
}

func TestDead(t *testing.T) {
	l, _, _, _ := raised(t)
	write(t, l.siteDir("site-a"), "log/kwok.log", `{"level":"info","msg":"starting"}`+"\n"+`{"level":"error","msg":"cannot listen","error":"address in use"}`+"\n")
	dead, err := l.Dead("site-a")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range dead {
		names = append(names, d.Component)
		if d.Component == "kwok" && (d.Last != "cannot listen: address in use" || time.Since(d.Since) > time.Minute) {
			t.Errorf("kwok's death is %+v", d)
		}
		if d.Component == "kube-scheduler" && (!d.Since.IsZero() || d.Last != "") {
			t.Errorf("what never ran has died: %+v", d)
		}
	}
	if want := Components()[1:]; !slices.Equal(names, want) { // etcd runs
		t.Errorf("dead are %q", names)
	}
	var death *DeadError
	if err := l.Died("site-a"); !errors.As(err, &death) || death.Component != "kube-apiserver" || !strings.Contains(err.Error(), death.Log) {
		t.Errorf("got %v", err)
	}
}
