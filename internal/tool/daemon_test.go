package tool

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// daemon is a program of TestMain in a group of this test's own.
func daemon(t *testing.T, name, program string, args ...string) Daemon {
	t.Helper()
	return Daemon{
		Group: t.TempDir(), Name: name, Path: os.Args[0], Args: args,
		Env: environment(program), Log: filepath.Join(t.TempDir(), "log"),
	}
}

// start starts a daemon, waits until it has logged lines, and sees to its end
// and that of its children.
func start(t *testing.T, d Daemon, lines int) Process {
	t.Helper()
	t.Cleanup(func() {
		left, err := Running(d.Group)
		if err != nil {
			t.Error(err)
		}
		if err := Stop(left, 0); err != nil {
			t.Error(err)
		}
	})
	p, err := Start(d)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, fmt.Sprintf("%s has logged %d lines", d.Name, lines), func() bool { return len(Tail(d.Log, 100)) >= lines })
	return p
}

func running(t *testing.T, group string) []Process {
	t.Helper()
	found, err := Running(group)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDaemonIsFoundByItsGroup(t *testing.T) {
	d := daemon(t, "site/wait", "wait", "--flag=a b", "")
	first := start(t, d, 1)
	other := daemon(t, "site/wait", "wait")
	start(t, other, 1)

	found := running(t, d.Group)
	if len(found) != 1 {
		t.Fatalf("found %+v", found)
	}
	p := found[0]
	if p.PID != first.PID || p.start != first.start || p.Name != "site/wait" || !p.Alive() {
		t.Errorf("found %+v, started %+v", p, first)
	}
	if want := append([]string{d.Path}, d.Args...); !slices.Equal(p.Args, want) || !slices.Equal(first.Args, want) {
		t.Errorf("arguments are %q and %q", p.Args, first.Args)
	}
	// A group is a whole value: neither a prefix nor a parent folder matches.
	for _, group := range []string{"", d.Group[:len(d.Group)-1], d.Group + "/", filepath.Dir(d.Group)} {
		if found := running(t, group); len(found) != 0 {
			t.Errorf("group %q holds %+v", group, found)
		}
	}

	if err := Stop(found, 0); err != nil {
		t.Fatal(err)
	}
	if first.Alive() || p.Alive() || len(running(t, d.Group)) != 0 {
		t.Error("it runs after Stop")
	}
	if len(running(t, other.Group)) != 1 {
		t.Error("Stop ended the daemon of another group")
	}
}

// The kernel tells the parent that the program runs before it has laid out the
// environment. A lab on a busy machine took its own upstream server for dead.
func TestDaemonIsFoundAtOnceOnABusyMachine(t *testing.T) {
	group := t.TempDir()
	var all sync.WaitGroup
	for i := range 60 { // at the same time, so that they wait for a processor
		d := daemon(t, fmt.Sprintf("site-a/%d", i), "wait")
		d.Group = group
		all.Go(func() {
			p, err := Start(d)
			if err != nil {
				t.Error(err)
				return
			}
			found, err := Running(d.Group)
			if err != nil || !slices.ContainsFunc(found, func(f Process) bool { return f.PID == p.PID && f.Name == d.Name }) {
				t.Errorf("%s is not found right after its start (%v)", d.Name, err)
			}
			if err := Stop([]Process{p}, 0); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// nsenter starts a program by becoming it. A lab with hosts took its upstream server
// for dead in that moment.
func TestDaemonIsFoundWhileItBecomesAnotherProgram(t *testing.T) {
	script := filepath.Join(t.TempDir(), "again")
	if err := os.WriteFile(script, []byte("test $1 = 0 || exec /bin/sh $0 $(($1 - 1))\necho ready\nexec sleep 60\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := daemon(t, "again", "")
	d.Path, d.Args = "/bin/sh", []string{script, "1000"}
	d.Env = []string{"PATH=/usr/bin:/bin"}
	p, err := Start(d)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := Stop([]Process{p}, 0); err != nil {
			t.Error(err)
		}
	}()
	for looks := 0; len(Tail(d.Log, 1)) == 0; looks++ {
		if found := running(t, d.Group); len(found) != 1 {
			t.Fatalf("found %d processes at look %d", len(found), looks)
		}
		if !p.Alive() {
			t.Fatal("the program ended")
		}
	}
}

func TestRunningIsSorted(t *testing.T) {
	group := t.TempDir()
	for _, name := range []string{"b", "c", "a"} {
		d := daemon(t, name, "wait")
		d.Group = group
		start(t, d, 1)
	}
	var names []string
	for _, p := range running(t, group) {
		names = append(names, p.Name)
	}
	if strings.Join(names, "") != "abc" {
		t.Fatalf("got %q", names)
	}
}

func TestStartFails(t *testing.T) {
	d := daemon(t, "lost", "wait")
	d.Path = filepath.Join(t.TempDir(), "nothing")
	if _, err := Start(d); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("a program that is not there: %v", err)
	}
	d = daemon(t, "lost", "wait")
	d.Log = filepath.Join(t.TempDir(), "no", "log")
	if _, err := Start(d); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("a log in a folder that is not there: %v", err)
	}
	if found := running(t, d.Group); len(found) != 0 {
		t.Errorf("it runs: %+v", found)
	}
}

// What a daemon inherits must not make it a daemon of another group.
func TestMarksReplaceInheritedOnes(t *testing.T) {
	d := daemon(t, "inner", "wait")
	d.Env = append(d.Env, groupVariable+"=/other", nameVariable+"=outer")
	p := start(t, d, 1)
	if found := running(t, d.Group); len(found) != 1 || found[0].PID != p.PID || found[0].Name != "inner" {
		t.Fatalf("found %+v", found)
	}
	if found := running(t, "/other"); len(found) != 0 {
		t.Fatalf("the other group has %+v", found)
	}
}

func TestChildInheritsMarks(t *testing.T) {
	d := daemon(t, "parent", "family", "wait")
	start(t, d, 2)
	found := running(t, d.Group)
	if len(found) != 2 || found[0].Name != "parent" || found[1].Name != "parent" {
		t.Fatalf("found %+v", found)
	}
	if err := Stop(found, 0); err != nil {
		t.Fatal(err)
	}
	if found := running(t, d.Group); len(found) != 0 {
		t.Fatalf("left are %+v", found)
	}
}

func TestLogIsTruncatedAndPrivate(t *testing.T) {
	d := daemon(t, "logger", "wait")
	if err := os.WriteFile(d.Log, []byte("of the run before\nand more\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, d, 1)
	eventually(t, "the log holds this run only", func() bool {
		data, err := os.ReadFile(d.Log)
		return err == nil && string(data) == "ready\n"
	})
	info, err := os.Stat(d.Log)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v", info.Mode())
	}
}

func TestZombieIsNotAlive(t *testing.T) {
	group := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(environment("exit"), groupVariable+"="+group, nameVariable+"=zombie")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	t.Cleanup(func() { _ = cmd.Wait() })
	// Nobody has waited for it, so it stays in the process table.
	eventually(t, "the process has ended", func() bool { return startTime(pid) == "" })
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || !strings.Contains(string(stat), ") Z ") {
		t.Fatalf("it is no zombie: %s, %v", stat, err)
	}
	if found := running(t, group); len(found) != 0 {
		t.Errorf("found %+v", found)
	}
}

// A PID that the kernel has given away belongs to somebody else.
func TestStopSparesALaterProcess(t *testing.T) {
	d := daemon(t, "innocent", "wait")
	p := start(t, d, 1)
	former := p
	former.start = "1"
	if former.Alive() {
		t.Error("the former process counts as alive")
	}
	for _, grace := range []time.Duration{0, time.Second} {
		if err := Stop([]Process{former}, grace); err != nil {
			t.Error(err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	if !p.Alive() {
		t.Fatal("the later process was ended")
	}
}

func TestStop(t *testing.T) {
	for name, test := range map[string]struct {
		program  string
		grace    time.Duration
		min, max time.Duration
	}{
		"nothing to do":         {"", time.Minute, 0, time.Second},
		"at once":               {"stubborn", 0, 0, 5 * time.Second},
		"polite":                {"wait", time.Minute, 0, 5 * time.Second},
		"ignores politeness":    {"stubborn", 300 * time.Millisecond, 300 * time.Millisecond, 5 * time.Second},
		"ended before the stop": {"exit", time.Minute, 0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var processes []Process
			if test.program != "" {
				lines := 1
				if test.program == "exit" {
					lines = 0
				}
				p := start(t, daemon(t, "stopped", test.program), lines)
				if test.program == "exit" {
					eventually(t, "it has ended", func() bool { return !p.Alive() })
				}
				processes = append(processes, p)
			}
			began := time.Now()
			if err := Stop(processes, test.grace); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < test.min || took > test.max {
				t.Errorf("took %v", took)
			}
			for _, p := range processes {
				if p.Alive() {
					t.Error("it still runs")
				}
			}
		})
	}
}

// All threads of a process must be gone when Stop returns, not only the first:
// the next program needs the ports.
func TestStopFreesPorts(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	for range 5 {
		p := start(t, daemon(t, "listener", "threads", address), 1)
		if err := Stop([]Process{p}, 0); err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
	}
}

func TestTail(t *testing.T) {
	const window = 64 << 10
	long := strings.Repeat("y", 100)
	many := strings.Repeat(long+"\n", 2*window/len(long))
	for name, test := range map[string]struct {
		content string
		n       int
		want    []string
	}{
		"empty":                  {"", 3, nil},
		"line ends only":         {"\n\n\n", 3, nil},
		"one line":               {"a\n", 3, []string{"a"}},
		"no line end":            {"a\nb", 3, []string{"a", "b"}},
		"more than asked":        {"a\nb\nc\n", 2, []string{"b", "c"}},
		"none asked":             {"a\nb\n", 0, []string{}},
		"empty line between":     {"a\n\nb\n", 2, []string{"", "b"}},
		"empty lines at end":     {"a\nb\n\n\n", 2, []string{"a", "b"}},
		"huge, few asked":        {many + "last\n", 2, []string{long, "last"}},
		"huge, one line":         {strings.Repeat("z", 2*window), 2, []string{strings.Repeat("z", window)}},
		"cut line is left out":   {strings.Repeat("z", window) + "\nb\nc", 5, []string{"b", "c"}},
		"exactly the window":     {strings.Repeat("z", window-2) + "\nb", 5, []string{strings.Repeat("z", window-2), "b"}},
		"one more than a window": {strings.Repeat("z", window-1) + "\nb", 5, []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := Tail(file, test.n); !slices.Equal(got, test.want) {
				t.Errorf("got %d lines: %.80q, want %.80q", len(got), got, test.want)
			}
		})
	}
	if got := Tail(filepath.Join(t.TempDir(), "nothing"), 3); got != nil {
		t.Errorf("of no file: %q", got)
	}
	// All of the window's whole lines, and no more.
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte(many), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Tail(file, 1<<20); len(got) < window/len(long)-10 || len(got) > window/len(long) {
		t.Errorf("got %d lines", len(got))
	}
}
