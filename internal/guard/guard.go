// Package guard finds secrets in plaintext in the working tree, the index and the history.
package guard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"archipel/internal/finding"
	"archipel/internal/secret"
	"archipel/internal/source"
)

// The rules, whose ids never change. internal/check documents them.
const (
	RuleUnencrypted = "sops-unencrypted"     // a file that SOPS has not encrypted, though its name says so
	RulePlainValue  = "sops-value-plaintext" // a value that SOPS would have encrypted
	RulePlainSecret = "secret-plaintext"     // a Kubernetes Secret
	RulePrivateKey  = "secret-private-key"
	RuleToken       = "secret-token"     // of k3s, WireGuard and hosts of code
	RuleDetected    = "secret-detected"  // by gitleaks
	RuleUnchecked   = "secret-unchecked" // a file that is too large
	RuleUnreadable  = "file-unreadable"
)

// Rules are the ids of what Check finds.
func Rules() []string {
	return []string{RuleUnreadable, RuleDetected, RulePlainSecret, RulePrivateKey, RuleToken, RuleUnchecked, RuleUnencrypted, RulePlainValue}
}

// File is one to look at. Read is called once. Its error wraps fs.ErrNotExist when there
// is nothing to look at, and source.ErrLarge when there is too much.
type File struct {
	Name   string // slash-separated
	Commit string // that holds it; "" when none does
	Read   func() ([]byte, error)

	id string // that Git gives to what it holds; "" when that is known only once it is read
}

// Guard looks for secrets. It is safe for concurrent use.
type Guard struct {
	detector func() (*detector, error)
	memory   *Memory // nil: there is none
}

// New makes a Guard. gitleaks' detector is loaded when it is first needed, which takes
// 50 ms. memory may be nil.
func New(memory *Memory) *Guard { return &Guard{sync.OnceValues(newDetector), memory} }

// Check looks at files, with gitleaks' detector too when thorough is true: it takes about
// a second for each MiB. The findings are sorted and quote nothing.
func (g *Guard) Check(ctx context.Context, files []File, thorough bool) ([]finding.Finding, error) {
	found := make([][]finding.Finding, len(files))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, file := range files {
		if inner.Err() != nil {
			break
		}
		group.Go(func() (err error) {
			found[i], err = g.look(inner, file, thorough)
			return err
		})
	}
	if err := errors.Join(group.Wait(), ctx.Err()); err != nil {
		return nil, err
	}
	var all []finding.Finding
	for _, some := range found {
		all = append(all, some...)
	}
	finding.Sort(all)
	return all, nil
}

func (g *Guard) look(ctx context.Context, file File, thorough bool) ([]finding.Finding, error) {
	if thorough && file.id != "" && g.memory.knows(content{file.id, file.Name}) {
		return nil, nil
	}
	data, err := file.Read()
	if thorough && err == nil && file.id == "" && g.memory != nil {
		file.id = source.ContentID(data)
		if g.memory.knows(content{file.id, file.Name}) {
			return nil, nil
		}
	}
	var found []finding.Finding
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, source.ErrLarge):
		found = []finding.Finding{{
			Rule: RuleUnchecked, Severity: finding.Warning, Position: finding.Position{File: file.Name},
			Message: fmt.Sprintf("nobody has looked for secrets in this file: it is %v", source.ErrLarge),
			Fix:     "look at it yourself, and accept it in archipel.yaml, or keep it elsewhere",
		}}
	case err != nil:
		found = []finding.Finding{source.Unreadable(file.Name, err)}
	default:
		found = Content(file.Name, data)
		if thorough {
			detect, err := g.detector()
			if err != nil {
				return nil, err
			}
			more, err := detect.content(ctx, file.Name, data)
			if err != nil {
				return nil, err
			}
			found = append(found, besides(found, more)...)
		}
	}
	if thorough && file.id != "" {
		g.memory.note(content{file.id, file.Name}, file.Commit, len(found) > 0)
	}
	if file.Commit != "" {
		for i := range found {
			found[i].Message += fmt.Sprintf(", in commit %.12s", file.Commit)
			if found[i].Secret {
				found[i].Fix = "replace the value wherever it is valid: whoever has a clone has it, whatever happens to the history"
			}
		}
	}
	return found, nil
}

// besides returns the findings of gitleaks at places where nothing else was found.
func besides(own, more []finding.Finding) []finding.Finding {
	lines := map[int]bool{}
	for _, f := range own {
		lines[f.Position.Line] = true
	}
	var rest []finding.Finding
	for _, f := range more {
		if !lines[f.Position.Line] {
			rest = append(rest, f)
		}
	}
	return rest
}

// Content looks at what one file holds, without gitleaks.
func Content(name string, data []byte) []finding.Finding {
	found := append(PrivateKeys(name, data), Tokens(name, data)...)
	if secret.IsSealedName(name) {
		return append(found, Sealed(name, data, nil)...)
	}
	return append(found, manifests(name, data)...)
}

// veiled makes a finding at a place that holds a secret.
func veiled(rule string, at finding.Position, fix, format string, args ...any) finding.Finding {
	return finding.Finding{
		Rule: rule, Severity: finding.Error, Position: at, Message: fmt.Sprintf(format, args...), Fix: fix, Secret: true,
	}
}
