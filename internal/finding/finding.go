// Package finding says what is wrong in a repository or at a site, where it is
// and how to fix it.
package finding

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// Severity orders findings by how much they matter.
type Severity int

// The severities, least first.
const (
	Warning Severity = iota + 1 // works today, but should not stay
	Error                       // will not work, or will break something
)

// Position is a place in a file of the repository.
type Position struct {
	File   string // slash-separated, relative to the repository's root
	Line   int    // from 1; 0 when the finding is about the file as a whole
	Column int    // from 1, in bytes
	Width  int    // bytes the caret underlines; 0 means 1
}

// Finding is one problem. Two findings that differ in Sites only are the same
// problem seen from several sites.
type Finding struct {
	Rule     string // noun-problem, for example "release-unpinned"; never changes
	Severity Severity
	Position Position
	Message  string   // one line, no full stop
	Fix      string   // what to do, imperative, one line; empty when there is no one answer
	Sites    []string // names of the affected sites, sorted
	Secret   bool     // the place may hold a secret: printers never show its source line
}

// String returns "warning" or "error".
func (s Severity) String() string {
	switch s {
	case Warning:
		return "warning"
	case Error:
		return "error"
	}
	return "unknown"
}

// MarshalText makes JSON show a severity as its name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Sort orders findings by place, then by rule and message, so that the same
// findings always come out in the same order.
func Sort(findings []Finding) { slices.SortStableFunc(findings, compare) }

// Dedup returns the findings sorted, with those that differ in Sites only
// merged into one that names all their sites.
func Dedup(findings []Finding) []Finding {
	sorted := slices.Clone(findings)
	Sort(sorted)
	var merged []Finding
	for _, f := range sorted {
		if n := len(merged); n > 0 && compare(merged[n-1], f) == 0 {
			last := &merged[n-1]
			last.Sites = append(last.Sites, f.Sites...)
			last.Secret = last.Secret || f.Secret
			continue
		}
		f.Sites = slices.Clone(f.Sites)
		merged = append(merged, f)
	}
	for i := range merged {
		slices.Sort(merged[i].Sites)
		merged[i].Sites = slices.Compact(merged[i].Sites)
	}
	return merged
}

// compare is 0 when two findings are the same problem.
func compare(a, b Finding) int {
	return cmp.Or(
		strings.Compare(a.Position.File, b.Position.File),
		cmp.Compare(a.Position.Line, b.Position.Line),
		cmp.Compare(a.Position.Column, b.Position.Column),
		strings.Compare(a.Rule, b.Rule),
		strings.Compare(a.Message, b.Message),
		cmp.Compare(b.Severity, a.Severity),
		strings.Compare(a.Fix, b.Fix),
		cmp.Compare(a.Position.Width, b.Position.Width),
	)
}

// clean makes text from a repository safe to print on a terminal: whatever is
// not a printable character or a space shows as U+FFFD. That covers escape
// sequences, line breaks, bidirectional overrides and invalid UTF-8.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
