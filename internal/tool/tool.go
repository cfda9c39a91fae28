// Package tool is the only package that starts programs.
package tool

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Command is a program to run to its end.
type Command struct {
	Name string   // what to look up in PATH, or a path
	Args []string // without the program itself; no secret belongs here
	Env  []string // in the form key=value; nil means the environment of this process
	Dir  string   // working directory; empty means that of this process
	In   io.Reader
	// Line, when set, gets every line of stderr as it comes, without its end.
	Line func(string)
	// Out, when set, gets every line of stdout as it comes, without its end; Run then
	// returns nothing.
	Out func(string)
	// Files are what the program inherits, as descriptors 3, 4 and so on. They stay
	// the caller's to close.
	Files []*os.File
	// DieWithParent ends the program when this process ends, even by a SIGKILL.
	DieWithParent bool
	// Grace is how long the program may take to end after an interrupt; 0 means 10 s.
	Grace time.Duration
}

// defaultGrace lets Terraform write its state and Ansible leave its hosts.
const defaultGrace = 10 * time.Second

// errorLines is how much of a failed program's stderr its error carries, and
// lineLimit how many bytes of each line are kept.
const errorLines, lineLimit = 15, 4 << 10

// Run runs c and returns what it printed on stdout. When ctx ends, the program
// and its children are interrupted, then killed. The error of a program that
// failed holds the last lines of its stderr; what it printed on stdout is returned too.
func Run(ctx context.Context, c Command) ([]byte, error) {
	var stdout bytes.Buffer
	if c.Out == nil {
		err := Stream(ctx, c, &stdout)
		if ctx.Err() != nil {
			return nil, err
		}
		return stdout.Bytes(), err
	}
	outPipe, writer := io.Pipe()
	read := make(chan struct{})
	go func() { defer close(read); readLines(outPipe, c.Out) }()
	err := Stream(ctx, c, writer)
	_ = writer.Close() // never fails for a pipe in memory
	<-read
	return nil, err
}

// Stream is Run that writes what the program prints on stdout to w.
func Stream(ctx context.Context, c Command, w io.Writer) error {
	path, err := Find(c.Name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, c.Args...)
	cmd.Env, cmd.Dir, cmd.Stdin = c.Env, c.Dir, c.In
	// A process group of its own: the terminal's Ctrl-C reaches it through ctx only, once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.DieWithParent {
		// The kernel sends it when the thread ends that started the program (prctl(2)):
		// the thread must last until the program has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
	cmd.ExtraFiles = c.Files
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = cmp.Or(c.Grace, defaultGrace)
	cmd.Stdout = w
	errPipe, writer := io.Pipe()
	cmd.Stderr = writer
	last := make(chan []string, 1)
	go func() { last <- readLines(errPipe, c.Line) }()
	err = cmd.Run()
	_ = writer.Close() // never fails for a pipe in memory
	lines := <-last
	if ctx.Err() != nil {
		if cmd.Process != nil { // nil when ctx had ended before the start
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what ignored the interrupt
		}
		return ctx.Err()
	}
	if err != nil {
		return &ExitError{Program: c.Name, Args: c.Args, Err: err, Stderr: lines}
	}
	return nil
}

// Interactive runs c on the terminal of this process, whose streams it gets, and
// waits until it ends. It stays in the process group of this process, so that the
// terminal lets it read and sends it Ctrl-C. When ctx ends, it is asked to end,
// then killed.
func Interactive(ctx context.Context, c Command, stdin io.Reader, stdout, stderr io.Writer) error {
	path, err := Find(c.Name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, c.Args...)
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, stdin, stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = cmp.Or(c.Grace, defaultGrace)
	err = cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &ExitError{Program: c.Name, Args: c.Args, Err: err}
	}
	return nil
}

// readLines passes each line on and returns the last ones. It reads to the end
// whatever comes, because the program waits while nobody does.
func readLines(r io.Reader, line func(string)) []string {
	var last []string
	reader := bufio.NewReaderSize(r, lineLimit)
	for {
		data, more, err := reader.ReadLine()
		if err != nil {
			return last
		}
		text := string(data)
		if more {
			text += "..."
		}
		for more && err == nil {
			_, more, err = reader.ReadLine()
		}
		if line != nil {
			line(text)
		}
		last = append(last, text)
		if len(last) > errorLines {
			last = last[1:]
		}
	}
}

// Find returns the path of a program, or an error that says what is missing.
func Find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return "", &MissingError{Program: name}
	}
	if err != nil {
		return "", fmt.Errorf("finding %s: %w", name, err)
	}
	return path, nil
}

// MissingError says that a program is not installed.
type MissingError struct{ Program string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed, or not in PATH", e.Program)
}

// ExitError is a program that failed.
type ExitError struct {
	Program string
	Args    []string
	Err     error
	Stderr  []string // its last lines
}

func (e *ExitError) Error() string {
	message := fmt.Sprintf("%s: %v", strings.Join(append([]string{e.Program}, e.Args...), " "), e.Err)
	if len(e.Stderr) > 0 {
		message += "\n" + strings.Join(e.Stderr, "\n")
	}
	return message
}

func (e *ExitError) Unwrap() error { return e.Err }
