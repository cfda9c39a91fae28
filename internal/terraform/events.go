package terraform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"archipel/internal/tool"
)

// event is a line of what plan and apply print with -json.
type event struct {
	Type string `json:"type"`
	Hook struct {
		Resource struct {
			Addr string `json:"addr"`
		} `json:"resource"`
		Action  string  `json:"action"`
		Elapsed float64 `json:"elapsed_seconds"`
	} `json:"hook"`
	Diagnostic *Diagnostic `json:"diagnostic"`
}

// Diagnostic is an error or a warning of the tool.
type Diagnostic struct {
	Severity string `json:"severity"`
	Summary  string `json:"summary"`
	Detail   string `json:"detail"`
	Address  string `json:"address"`
	Range    *struct {
		Filename string `json:"filename"`
		Start    struct {
			Line   int `json:"line"`
			Column int `json:"column"`
		} `json:"start"`
	} `json:"range"`
}

// expected reports a warning that says what is known: the lock in a table is to be left for
// one in a file, which archipel state migrate-lock does.
func (d Diagnostic) expected() bool {
	return d.Summary == "Deprecated Parameter" && strings.Contains(d.Detail, "dynamodb_table")
}

// listen makes a command tell its events, and returns what gives its diagnostics once it has
// ended.
func (w *Workspace) listen(c *tool.Command, told func(event)) (heard func() []Diagnostic) {
	var mu sync.Mutex // stdout and stderr are read at the same time
	var diagnostics []Diagnostic
	var text []string
	c.Out = func(line string) {
		var e event
		if json.Unmarshal([]byte(line), &e) != nil {
			return // a line of a program that the tool has started
		}
		if e.Diagnostic != nil {
			mu.Lock()
			diagnostics = append(diagnostics, *e.Diagnostic)
			mu.Unlock()
			return
		}
		told(e)
	}
	c.Line = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		text = append(text, line)
	}
	return func() []Diagnostic {
		mu.Lock()
		defer mu.Unlock()
		return append(slices.Clone(diagnostics), readText(text)...)
	}
}

// readText reads the errors that the tool writes for people.
func readText(lines []string) []Diagnostic {
	var found []Diagnostic
	for _, line := range lines {
		line = strings.TrimSpace(strings.TrimLeft(line, "│╷╵ \t"))
		if summary, ok := strings.CutPrefix(line, "Error: "); ok {
			found = append(found, Diagnostic{Severity: "error", Summary: summary})
			continue
		}
		if len(found) > 0 && line != "" {
			last := &found[len(found)-1]
			last.Detail = strings.TrimSpace(last.Detail + "\n" + line)
		}
	}
	return found
}

// Failure is a run of the tool that failed.
type Failure struct {
	Site, Doing string
	Diagnostics []Diagnostic
	words       []string
}

func (e *Failure) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.Site, e.Doing, strings.Join(e.words, "\n"))
}

// uninitialised says that init must be run again: its cache has lost something.
func (e *Failure) uninitialised() bool {
	return slices.ContainsFunc(e.Diagnostics, func(d Diagnostic) bool {
		return slices.ContainsFunc([]string{"Required plugins are not installed", "Module not installed", "Backend initialization required", "Inconsistent dependency lock file", "Module source has changed"},
			func(known string) bool { return strings.HasPrefix(d.Summary, known) })
	})
}

// HeldError says that somebody else holds the lock of a site's state.
type HeldError struct {
	Site, ID, Who, Operation string
	Since                    time.Time
}

func (e *HeldError) Error() string {
	text := fmt.Sprintf("the state of %s is locked", e.Site)
	if e.Who != "" {
		text += " by " + e.Who
	}
	if e.Operation != "" {
		text += " (" + strings.ToLower(strings.TrimPrefix(e.Operation, "OperationType")) + ")"
	}
	if !e.Since.IsZero() {
		text += " since " + e.Since.Format(time.RFC3339)
	}
	return text
}

// explain words what the tool says about a run that failed.
func (w *Workspace) explain(ctx context.Context, doing string, diagnostics []Diagnostic, err error) error {
	if err == nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	if exit, ok := errors.AsType[*tool.ExitError](err); ok && len(diagnostics) == 0 {
		diagnostics = readText(exit.Stderr)
		if len(diagnostics) == 0 {
			return fmt.Errorf("%s: %w", w.Site, err)
		}
	}
	failed := &Failure{Site: w.Site, Doing: doing}
	for _, d := range diagnostics {
		if d.Severity != "error" {
			continue
		}
		switch {
		case d.Summary == "Error acquiring the state lock":
			if held := w.held(d.Detail); held != nil {
				return held
			}
		case d.Summary == "Saved plan is stale", d.Summary == "Plan is stale":
			return &StaleError{w.Site, "the state was written since it was made"}
		}
		failed.Diagnostics = append(failed.Diagnostics, d)
		failed.words = append(failed.words, w.word(d))
	}
	if len(failed.words) == 0 {
		return fmt.Errorf("%s: %w", w.Site, err)
	}
	return failed
}

// held reads who holds a lock; nil when the tool failed to lock for another reason.
func (w *Workspace) held(detail string) *HeldError {
	field := func(name string) string {
		match := regexp.MustCompile(`(?m)^\s*` + name + `:\s*(.*?)\s*$`).FindStringSubmatch(detail)
		if match == nil {
			return ""
		}
		return match[1]
	}
	if field("ID") == "" {
		return nil
	}
	held := &HeldError{Site: w.Site, ID: field("ID"), Who: field("Who"), Operation: field("Operation")}
	const layout = "2006-01-02 15:04:05.999999999 -0700 MST" // that of time.Time.String
	if at, err := time.Parse(layout, field("Created")); err == nil {
		held.Since = at.UTC().Truncate(time.Second)
	}
	return held
}

// word is a diagnostic in one line, or in several when it has much to say.
func (w *Workspace) word(d Diagnostic) string {
	const most = 6 // lines; what follows is advice about Terraform
	text := d.Summary
	if d.Range != nil {
		name := filepath.Join(w.Dir, d.Range.Filename)
		if relative, err := filepath.Rel(w.Root, name); err == nil {
			name = relative
		}
		text = fmt.Sprintf("%s:%d:%d: %s", name, d.Range.Start.Line, d.Range.Start.Column, text)
	}
	if d.Address != "" {
		text += " (" + d.Address + ")"
	}
	lines := strings.Split(strings.TrimSpace(d.Detail), "\n")
	for i, line := range lines {
		if line = strings.TrimSpace(line); line == "" || i >= most {
			break
		}
		text += "\n  " + line
	}
	return text
}
