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

// Finding is one problem. Two findings that differ in Sites and Also only are the same
// problem, seen from several sites or by several engines.
type Finding struct {
	Rule     string // noun-problem, for example "release-unpinned"; never changes
	Severity Severity
	Position Position
	Message  string   // one line, no full stop
	Fix      string   // what to do, imperative, one line; empty when there is no one answer
	Sites    []string // names of the affected sites, sorted
	Secret   bool     // the place may hold a secret: printers never show its source line

	// Subject is what the finding is about, as it stays when lines move: the kind, namespace
	// and name of an object, with " container NAME" where it is about one: "DaemonSet
	// kube-system/cilium container cilium-agent". Empty when the file is the subject.
	Subject string
	Owner   Owner
	Also    []string // what other engines call the same problem, sorted: "trivy KSV-0017"
}

// Owner is who writes what a finding is about.
type Owner string

// The owners. What nobody is named for is ours.
const (
	Ours     Owner = "ours"     // this repository
	Chart    Owner = "chart"    // a chart of somebody else, which values change
	Upstream Owner = "upstream" // a manifest of somebody else, which patches change
)

// Owners returns the owners in the order in which findings are shown.
func Owners() []Owner { return []Owner{Ours, Chart, Upstream} }

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

// Dedup returns the findings sorted, with those that are the same problem merged into
// one that names all their sites and engines.
func Dedup(findings []Finding) []Finding {
	sorted := slices.Clone(findings)
	Sort(sorted)
	var merged []Finding
	for _, f := range sorted {
		if n := len(merged); n > 0 && compare(merged[n-1], f) == 0 {
			last := &merged[n-1]
			last.Sites = append(last.Sites, f.Sites...)
			last.Secret = last.Secret || f.Secret
			last.Also = append(last.Also, f.Also...)
			continue
		}
		f.Sites, f.Also = slices.Clone(f.Sites), slices.Clone(f.Also)
		merged = append(merged, f)
	}
	for i := range merged {
		slices.Sort(merged[i].Sites)
		merged[i].Sites = slices.Compact(merged[i].Sites)
		slices.Sort(merged[i].Also)
		merged[i].Also = slices.Compact(merged[i].Also)
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
		strings.Compare(a.Subject, b.Subject),
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
