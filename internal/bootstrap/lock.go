package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"archipel/internal/tool"
)

// Owner is who works on a site.
type Owner struct {
	User    string    `json:"user"` // user@host
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// HeldError says that somebody else works on a site.
type HeldError struct {
	Site, Host string
	Owner      *Owner        // nil when it is not known
	Beat       time.Duration // since its last sign of life
}

func (e *HeldError) Error() string {
	who := "somebody"
	if e.Owner != nil {
		who = fmt.Sprintf("%s (%s, process %d) since %s", e.Owner.User, e.Owner.Command, e.Owner.PID, e.Owner.Since.Local().Format(time.DateTime))
	}
	return fmt.Sprintf("%s works on %s, by its lock on %s; the last sign of life is %s old", who, e.Site, e.Host, e.Beat)
}

// Hint says what to do about it.
func (e *HeldError) Hint() string {
	return fmt.Sprintf("wait until it has ended, or end it there; the lock is free %s after its owner has gone", lockTimeout)
}

const (
	lockFile      = "/run/archipel.lock"
	lockTimeout   = 30 * time.Second // without a sign of life
	lockHeartbeat = 5 * time.Second
)

// Lock is held on the servers of a site. Each is a process on the host that lives as
// long as the connection to it: neither a killed archipel nor a cut connection leaves
// anything that somebody must tidy up.
type Lock struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	held   []*heldLock
	mu     sync.Mutex
	left   int
	freed  bool
}

// heldLock is the lock on one host.
type heldLock struct {
	host  string
	stdin *os.File // the end to write to
	ended chan struct{}
}

// Lock takes the lock of a site on every server that answers, in inventory order, so
// that two archipels meet at the first. The error is a *HeldError when somebody else
// has it. The context of the lock ends with ctx, and when no server holds the lock any
// more.
func (a *Ansible) Lock(ctx context.Context, site *Site, owner Owner, view View) (*Lock, error) {
	l := &Lock{}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	var last error
	for _, server := range site.Servers() {
		held, err := a.lockHost(l, server, owner, lockFile, lockTimeout)
		if taken, ok := errors.AsType[*HeldError](err); ok {
			taken.Site = site.Name
			l.Release()
			return nil, taken
		}
		if ctx.Err() != nil {
			l.Release()
			return nil, ctx.Err()
		}
		if err != nil { // a server that is lost must not keep others from being repaired
			view.Print(fmt.Sprintf("%s: no lock on %s: %s", site.Name, server.Name, oneLine(err.Error())))
			last = err
			continue
		}
		l.mu.Lock()
		l.held = append(l.held, held)
		l.left++
		l.mu.Unlock()
		go l.watch(held)
	}
	if len(l.held) == 0 {
		l.Release()
		return nil, fmt.Errorf("taking the lock of %s: no server answers: %w", site.Name, last)
	}
	return l, nil
}

// Context ends when the lock is lost or released.
func (l *Lock) Context() context.Context { return l.ctx }

// watch notes when a host holds the lock no more.
func (l *Lock) watch(held *heldLock) {
	<-held.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left--; l.left == 0 && !l.freed {
		l.cancel(fmt.Errorf("the connection to %s, which held the lock, has ended", held.host))
	}
}

// Release gives the lock back, and returns when every host that answers has done so.
func (l *Lock) Release() {
	l.mu.Lock()
	l.freed = true
	held := l.held
	l.mu.Unlock()
	for _, h := range held {
		_ = h.stdin.Close() // it holds nothing that could be lost
	}
	limit := time.After(5 * time.Second)
	for _, h := range held {
		select {
		case <-h.ended:
		case <-limit:
		}
	}
	l.cancel(context.Canceled)
}

// lockHost takes the lock on one host.
func (a *Ansible) lockHost(l *Lock, h Host, owner Owner, file string, timeout time.Duration) (*heldLock, error) {
	who, err := json.Marshal(owner)
	if err != nil {
		return nil, fmt.Errorf("taking the lock: %w", err)
	}
	words := []string{"sudo", "-n", "--", "sh", "-c", script("lock.sh"), "archipel", string(who), strconv.Itoa(int(timeout.Seconds())), file}
	// A pipe of the kernel: when ssh ends, nothing here still waits for what to give it.
	stdin, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("taking the lock: %w", err)
	}
	held := &heldLock{host: h.Name, stdin: writer, ended: make(chan struct{})}
	lines := make(chan string, 16)
	result := make(chan error, 1)
	// It outlives the interrupt that ends the run, so that the lock is there until the
	// programs that it protects have ended: Release ends it.
	ctx := context.WithoutCancel(l.ctx)
	go func() {
		defer close(held.ended)
		_, err := tool.Run(ctx, tool.Command{
			Name: a.SSH, Args: a.sshArgs(h, own, command(words...)), Env: a.Environ, In: stdin, Grace: time.Second, DieWithParent: true,
			Out: func(line string) {
				select {
				case lines <- line:
				default: // nobody reads after the answer
				}
			},
		})
		stdin.Close()
		result <- a.explainSSH(h, err)
		close(lines)
	}()
	for {
		var answer string
		select {
		case line, more := <-lines:
			if !more {
				err := <-result
				if err == nil {
					err = errors.New("the host gave no answer")
				}
				return nil, fmt.Errorf("taking the lock: %w", err)
			}
			answer = line
		case <-l.ctx.Done():
			writer.Close()
			return nil, l.ctx.Err()
		}
		if answer == "locked" {
			go beat(held)
			return held, nil
		}
		if age, ok := strings.CutPrefix(answer, "held "); ok {
			writer.Close()
			seconds, _ := strconv.Atoi(age)
			e := &HeldError{Host: h.Name, Beat: time.Duration(max(seconds, 0)) * time.Second}
			select {
			case line := <-lines: // closed, so empty, when the owner has just gone
				e.Owner = parseOwner(line)
			case <-l.ctx.Done():
				return nil, l.ctx.Err()
			}
			return nil, e
		}
		// What a login shell prints comes before the answer.
	}
}

// beat tells the host that this process lives.
func beat(held *heldLock) {
	ticker := time.NewTicker(lockHeartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-held.ended:
			return
		case <-ticker.C:
			if _, err := held.stdin.WriteString("alive\n"); err != nil {
				return
			}
		}
	}
}

// parseOwner reads who holds a lock; nil when that cannot be told.
func parseOwner(line string) *Owner {
	var owner Owner
	if len(line) > 2000 || json.Unmarshal([]byte(line), &owner) != nil || owner.User == "" {
		return nil
	}
	owner.User, owner.Command = oneLine(owner.User), oneLine(owner.Command)
	return &owner
}
