package tool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// command runs the test binary as one of the programs of TestMain.
func command(program string, args ...string) Command {
	return Command{
		Name: os.Args[0], Args: args, Env: environment(program),
		Grace: 200 * time.Millisecond,
	}
}

func TestRunKeepsTheStreamsApart(t *testing.T) {
	var lines []string
	c := command("echo", "a", "b c")
	c.Line = func(line string) { lines = append(lines, line) }
	out, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != "out a b c" {
		t.Errorf("stdout is %q", out)
	}
	if !slices.Equal(lines, []string{"err a b c"}) {
		t.Errorf("lines of stderr are %q", lines)
	}
}

func TestRunGivesInputAndFolder(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	out, err := Run(t.Context(), Command{
		Name: "sh", Args: []string{"-c", "pwd; cat; echo $VALUE"}, Dir: dir,
		In: strings.NewReader("input\n"), Env: []string{"VALUE=set", "PATH=" + os.Getenv("PATH")},
	})
	if want := dir + "\ninput\nset\n"; err != nil || string(out) != want {
		t.Fatalf("got %q, %v", out, err)
	}
}

func TestRunFailure(t *testing.T) {
	for _, test := range []struct {
		lines int
		want  []string // of stderr, in the error
	}{
		{0, nil},
		{1, numbered(1, 1)},
		{errorLines, numbered(1, errorLines)},
		{errorLines + 1, numbered(2, errorLines+1)},
		{1000, numbered(1000-errorLines+1, 1000)},
	} {
		t.Run(fmt.Sprint(test.lines), func(t *testing.T) {
			count := 0
			c := command("lines", strconv.Itoa(test.lines))
			c.Line = func(string) { count++ }
			out, err := Run(t.Context(), c)
			var exit *ExitError
			if !errors.As(err, &exit) {
				t.Fatalf("got %v", err)
			}
			if string(out) != "not an error" { // a linter fails and says what it found
				t.Errorf("a failed program gives %q", out)
			}
			if count != test.lines {
				t.Errorf("%d lines were passed on", count)
			}
			want := strings.Join(append([]string{os.Args[0] + " " + c.Args[0] + ": exit status 3"}, test.want...), "\n")
			if err.Error() != want {
				t.Errorf("got\n%s\nwant\n%s", err, want)
			}
		})
	}
}

func numbered(from, to int) []string {
	var lines []string
	for i := from; i <= to; i++ {
		lines = append(lines, fmt.Sprintf("line %d", i))
	}
	return lines
}

// A line longer than any buffer must neither block the program nor hide what
// comes after it.
func TestRunLongLine(t *testing.T) {
	var lines []string
	c := command("long", strconv.Itoa(3<<20))
	c.Line = func(line string) { lines = append(lines, line) }
	_, err := Run(t.Context(), c)
	var exit *ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("got %v", err)
	}
	want := []string{strings.Repeat("x", lineLimit) + "...", "the end"}
	if !slices.Equal(lines, want) || !slices.Equal(exit.Stderr, want) {
		t.Fatalf("%d lines were passed on, %d kept; they end in %.20q", len(lines), len(exit.Stderr), exit.Stderr)
	}
}

func TestRunMissing(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		program string
		missing bool
	}{
		"by name":        {"archipel-no-such-program", true},
		"by path":        {filepath.Join(dir, "nothing"), true},
		"not executable": {plain, false},
		"folder":         {dir, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Run(t.Context(), Command{Name: test.program})
			var missing *MissingError
			if err == nil || errors.As(err, &missing) != test.missing {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), test.program) {
				t.Errorf("the error does not name the program: %v", err)
			}
		})
	}
}

func TestRunFolderMissing(t *testing.T) {
	c := command("echo")
	c.Dir = filepath.Join(t.TempDir(), "nothing")
	if _, err := Run(t.Context(), c); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
}

func TestRunEndsWithContext(t *testing.T) {
	for name, test := range map[string]struct {
		program []string
		// wait is what the program says once it can be interrupted.
		wait string
		says string // after the interrupt
	}{
		"default":                {[]string{"wait"}, "ready", ""},
		"tidies up":              {[]string{"tidy"}, "ready", "tidied up"},
		"ignores the interrupt":  {[]string{"stubborn"}, "ready", ""},
		"with a child":           {[]string{"family", "wait"}, "ready", ""},
		"with a stubborn child":  {[]string{"family", "stubborn"}, "ready", ""},
		"with a child that asks": {[]string{"family", "tidy"}, "ready", "tidied up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var (
				mutex sync.Mutex
				lines []string
				child int
			)
			c := command(test.program[0], test.program[1:]...)
			if test.says != "" {
				c.Grace = 10 * time.Second // it ends by itself, however slow this machine is
			}
			c.Line = func(line string) {
				mutex.Lock()
				defer mutex.Unlock()
				lines = append(lines, line)
				if pid, ok := strings.CutPrefix(line, "child "); ok {
					child, _ = strconv.Atoi(pid)
				}
				if slices.Contains(lines, test.wait) && (child != 0 || test.program[0] != "family") {
					cancel()
				}
			}
			out, err := Run(ctx, c)
			if !errors.Is(err, context.Canceled) || out != nil {
				t.Fatalf("got %q, %v", out, err)
			}
			if test.says != "" && !slices.Contains(lines, test.says) {
				t.Errorf("stderr was %q", lines)
			}
			if child != 0 {
				eventually(t, "the child has ended", func() bool { return startTime(child) == "" })
			}
		})
	}
}

func TestRunDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, command("wait")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

// A context that has ended before the program starts must start nothing.
func TestRunAfterContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	mark := filepath.Join(t.TempDir(), "started")
	_, err := Run(ctx, Command{Name: "touch", Args: []string{mark}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("the program ran")
	}
}

// eventually fails when something does not become true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after 10 s: %s", what)
		}
	}
}

func TestInteractive(t *testing.T) {
	c := command("echo", "a")
	var stdout, stderr bytes.Buffer
	if err := Interactive(t.Context(), c, strings.NewReader("typed"), &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	if stdout.String() != "out a" || stderr.String() != "err a" {
		t.Errorf("got %q and %q", &stdout, &stderr)
	}
	stdout.Reset()
	if err := Interactive(t.Context(), Command{Name: "cat"}, strings.NewReader("typed"), &stdout, &stderr); err != nil || stdout.String() != "typed" {
		t.Errorf("got %q, %v", &stdout, err)
	}
	if _, ok := errors.AsType[*ExitError](Interactive(t.Context(), Command{Name: "false"}, nil, &stdout, &stderr)); !ok {
		t.Error("a program that fails gives no ExitError")
	}
	if _, ok := errors.AsType[*MissingError](Interactive(t.Context(), Command{Name: "no-such-program"}, nil, &stdout, &stderr)); !ok {
		t.Error("a program that is missing gives no MissingError")
	}
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if err := Interactive(ctx, Command{Name: "sleep", Args: []string{"600"}}, nil, &stdout, &stderr); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
