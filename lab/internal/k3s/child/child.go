// Package child runs the programs of a node as children that die with it.
package child

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec" //nolint:depguard // internal/tool belongs to another module
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Spec is a program to run.
type Spec struct {
	Name string // marks its lines in the log
	Path string
	Args []string
	Env  []string // all of its environment
	// Kill ends it with SIGKILL at once: it would hold its port for long otherwise.
	Kill bool
}

// Runner starts children. The kernel kills a child when the thread that
// started it ends, so that one thread, which never ends, starts them all.
type Runner struct {
	log   io.Writer
	work  chan func()
	mutex sync.Mutex
}

// NewRunner returns a runner whose children log to log.
func NewRunner(log io.Writer) *Runner {
	r := &Runner{log: log, work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range r.work {
			f()
		}
	}()
	return r
}

// Child is a program that was started.
type Child struct {
	spec    Spec
	command *exec.Cmd
	done    chan struct{}
	err     error
}

// Start starts a program.
func (r *Runner) Start(spec Spec) (*Child, error) {
	lines := &lineWriter{runner: r, name: spec.Name}
	c := &Child{spec: spec, command: exec.Command(spec.Path, spec.Args...), done: make(chan struct{})}
	c.command.Env = spec.Env
	c.command.Stdout, c.command.Stderr = lines, lines
	c.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	r.work <- func() { started <- c.command.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	go func() {
		err := c.command.Wait()
		lines.flush()
		if err == nil {
			err = fmt.Errorf("exit status 0")
		}
		c.err = fmt.Errorf("%s ended: %w%s", spec.Name, err, lines.last())
		close(c.done)
	}()
	return c, nil
}

// Run runs a program to its end.
func (r *Runner) Run(ctx context.Context, spec Spec) error {
	c, err := r.Start(spec)
	if err != nil {
		return err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.Stop(0)
		return ctx.Err()
	}
	if c.Succeeded() {
		return nil
	}
	return c.err
}

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Succeeded says whether the child, which has ended, did so without an error.
func (c *Child) Succeeded() bool { return c.command.ProcessState.Success() }

// Err says how the child ended.
func (c *Child) Err() error { return c.err }

// Stop ends the child, and kills it when it has not ended in time.
func (c *Child) Stop(patience time.Duration) {
	if !c.spec.Kill && patience > 0 {
		_ = c.command.Process.Signal(os.Signal(syscall.SIGTERM))
		select {
		case <-c.done:
			return
		case <-time.After(patience):
		}
	}
	_ = c.command.Process.Kill()
	<-c.done
}

// lineWriter marks each line with the name of the program, and keeps the last.
type lineWriter struct {
	runner *Runner
	name   string
	mutex  sync.Mutex
	rest   []byte
	recent []string
}

func (w *lineWriter) Write(data []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.rest = append(w.rest, data...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			return len(data), nil
		}
		w.line(line)
		w.rest = append([]byte(nil), rest...)
	}
}

func (w *lineWriter) line(line []byte) {
	const kept, longest = 3, 300
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	w.runner.mutex.Lock()
	_, _ = fmt.Fprintf(w.runner.log, "%s: %s\n", w.name, line)
	w.runner.mutex.Unlock()
	w.recent = append(w.recent, string(line[:min(len(line), longest)]))
	if len(w.recent) > kept {
		w.recent = w.recent[1:]
	}
}

func (w *lineWriter) flush() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.line(w.rest)
	w.rest = nil
}

// last returns what the program said before it ended.
func (w *lineWriter) last() string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	text := ""
	for _, line := range w.recent {
		text += "\n  " + line
	}
	return text
}
