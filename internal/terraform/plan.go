package terraform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"archipel/internal/tool"
)

// grace is how long the tool may take to leave what it is at after an interrupt: it waits for
// the resources under way, writes the state and frees the lock.
const grace = 10 * time.Minute

// expiry is how old a plan may be: by then the machines may not be what it was made from.
const expiry = 24 * time.Hour

// Kept is a plan on disk, and what it was made from.
type Kept struct {
	Summary *Summary  `json:"summary"`
	Tool    string    `json:"tool"`
	Made    time.Time `json:"made"`
	Inputs  string    `json:"inputs"` // digest of what it was made from
	Plan    string    `json:"plan"`   // digest of the file
}

// StaleError is a plan that must not be applied any more.
type StaleError struct{ Site, Why string }

func (e *StaleError) Error() string {
	return fmt.Sprintf("the plan of %s is stale: %s", e.Site, e.Why)
}

// BusyError says that another archipel works on the site in this checkout.
type BusyError struct{ Site, Who string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s is being worked on by %s", e.Site, e.Who)
}

// Lock keeps other processes of this checkout from working on the site. who says who does.
func (w *Workspace) Lock(who string) (release func(), err error) {
	if err := os.MkdirAll(w.Kept, 0o700); err != nil {
		return nil, fmt.Errorf("making a folder for plans: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(w.Kept, w.Site+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", w.Site, err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer file.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", w.Site, err)
		}
		holder, _ := io.ReadAll(io.LimitReader(file, 1<<10)) // only for the message
		return nil, &BusyError{w.Site, string(holder)}
	}
	if err := errors.Join(file.Truncate(0), func() error { _, err := file.WriteAt([]byte(who), 0); return err }()); err != nil {
		file.Close()
		return nil, fmt.Errorf("locking %s: %w", w.Site, err)
	}
	return func() { _ = file.Truncate(0); file.Close() }, nil
}

func (w *Workspace) planFile() string { return filepath.Join(w.Kept, w.Site+".tfplan") }
func (w *Workspace) noteFile() string { return filepath.Join(w.Kept, w.Site+".json") }

// Plan makes a plan and keeps it. now is when.
func (w *Workspace) Plan(ctx context.Context, now time.Time) (*Kept, error) {
	if err := w.Discard(); err != nil {
		return nil, err
	}
	if err := w.Init(ctx); err != nil {
		return nil, err
	}
	inputs, err := w.digest(false)
	if err != nil {
		return nil, err
	}
	warnings, err := w.plan(ctx)
	if failed, ok := errors.AsType[*Failure](err); ok && failed.uninitialised() {
		w.Forget()
		if err := w.Init(ctx); err != nil {
			return nil, err
		}
		if inputs, err = w.digest(false); err != nil {
			return nil, err
		}
		warnings, err = w.plan(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, w.Discard())
	}
	w.set("reading the plan")
	out, err := tool.Run(ctx, w.command("show", "-json", "-no-color", w.planFile()))
	if err != nil {
		return nil, w.explain(ctx, "show", nil, err)
	}
	kept := &Kept{Tool: w.Tool.String(), Made: now.UTC().Truncate(time.Second), Inputs: inputs}
	if kept.Summary, err = Summarise(w.Site, out); err != nil {
		return nil, err
	}
	kept.Summary.Warnings = warnings
	if kept.Plan, err = digestFile(w.planFile()); err != nil {
		return nil, err
	}
	note, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("noting the plan of %s: %w", w.Site, err)
	}
	if err := os.WriteFile(w.noteFile(), note, 0o600); err != nil {
		return nil, fmt.Errorf("noting the plan of %s: %w", w.Site, err)
	}
	return kept, nil
}

// plan runs the tool, and returns its warnings.
func (w *Workspace) plan(ctx context.Context) ([]string, error) {
	w.set("plan")
	// A plan holds values in clear text: its file is there, and nobody else's to read, before
	// the tool writes to it.
	file, err := os.OpenFile(w.planFile(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making a file for the plan of %s: %w", w.Site, err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("making a file for the plan of %s: %w", w.Site, err)
	}
	command := w.command("plan", "-json", "-input=false", "-out="+w.planFile(), "-detailed-exitcode")
	command.Grace = grace
	read := 0
	heard := w.listen(&command, func(e event) {
		if e.Type == "refresh_complete" {
			read++
			w.set(fmt.Sprintf("plan: %d read", read))
		}
	})
	_, err = tool.Run(ctx, command)
	if code, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err); ok && code.ExitCode() == 2 && ctx.Err() == nil { // there are changes
		err = nil
	}
	if err != nil {
		return nil, w.explain(ctx, "plan", heard(), err)
	}
	var warnings []string
	for _, d := range heard() {
		if d.Severity == "warning" && !d.expected() {
			warnings = append(warnings, w.word(d))
		}
	}
	if err := os.Chmod(w.planFile(), 0o600); err != nil {
		return nil, fmt.Errorf("keeping the plan of %s: %w", w.Site, err)
	}
	return warnings, nil
}

// Load returns the plan that is kept; nil when there is none. The error is a *StaleError when
// it must not be applied any more.
func (w *Workspace) Load(now time.Time) (*Kept, error) {
	note, err := os.ReadFile(w.noteFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the plan of %s: %w", w.Site, err)
	}
	kept := &Kept{}
	if err := json.Unmarshal(note, kept); err != nil || kept.Summary == nil {
		return nil, &StaleError{w.Site, "what was noted of it cannot be read"}
	}
	plan, err := digestFile(w.planFile())
	if err != nil || plan != kept.Plan {
		return nil, &StaleError{w.Site, "its file is not the one that was made"}
	}
	inputs, err := w.digest(false)
	if err != nil {
		return nil, err
	}
	switch {
	case inputs != kept.Inputs:
		return nil, &StaleError{w.Site, "the inventory, the Terraform tree, the backend or the tool has changed since"}
	case now.Sub(kept.Made) > expiry:
		return nil, &StaleError{w.Site, fmt.Sprintf("it was made at %s, more than %.0f hours ago", kept.Made.Format(time.RFC3339), expiry.Hours())}
	}
	return kept, nil
}

// Discard removes the plan that is kept.
func (w *Workspace) Discard() error {
	for _, name := range []string{w.noteFile(), w.planFile()} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the plan of %s: %w", w.Site, err)
		}
	}
	return nil
}

func digestFile(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("reading a plan: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("reading a plan: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Done is what an apply did.
type Done struct{ Created, Changed, Destroyed int }

// Apply applies the plan that Load returned, and discards it. When ctx ends, the tool is
// interrupted once: it finishes the resources under way, writes the state and frees the lock.
func (w *Workspace) Apply(ctx context.Context, kept *Kept) (Done, error) {
	var done Done
	total := kept.Summary.Create + kept.Summary.Update + kept.Summary.Destroy + 2*kept.Summary.Replace
	command := w.command("apply", "-json", "-input=false", w.planFile())
	command.Grace = grace
	w.set("apply")
	over := 0
	heard := w.listen(&command, func(e event) {
		what := What(e.Hook.Resource.Addr)
		switch e.Type {
		case "apply_start":
			w.set(fmt.Sprintf("%d of %d: %s %s", over, total, doing(e.Hook.Action), what))
		case "apply_progress":
			w.set(fmt.Sprintf("%d of %d: %s %s for %.0f s", over, total, doing(e.Hook.Action), what, e.Hook.Elapsed))
		case "apply_errored":
			w.print(fmt.Sprintf("%s: %s failed", w.Site, what))
		case "apply_complete":
			over++
			switch e.Hook.Action {
			case "create":
				done.Created++
			case "update":
				done.Changed++
			case "delete":
				done.Destroyed++
			default:
				return
			}
			w.print(fmt.Sprintf("%s: %s %s", w.Site, past(e.Hook.Action), what))
		}
	})
	_, err := tool.Run(ctx, command)
	if err != nil {
		err = w.explain(ctx, "apply", heard(), err)
		if _, held := errors.AsType[*HeldError](err); held {
			return done, err // nothing was changed: the plan holds
		}
	}
	// A plan is applied once: the state has another serial now.
	return done, errors.Join(err, w.Discard())
}

func (w *Workspace) print(text string) {
	if w.Progress != nil {
		w.Progress.Print(text)
	}
}

func doing(action string) string {
	switch action {
	case "create":
		return "creating"
	case "update":
		return "changing"
	case "delete":
		return "destroying"
	case "read":
		return "reading"
	}
	return action
}

func past(action string) string {
	switch action {
	case "create":
		return "created"
	case "update":
		return "changed"
	}
	return "destroyed"
}
