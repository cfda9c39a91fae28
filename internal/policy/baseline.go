package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
	"archipel/internal/source"
)

// BaselineFile is where the baseline stands, relative to the repository's root.
const BaselineFile = "archipel.baseline.yaml"

// dateLayout is how the baseline writes days.
const dateLayout = "2006-01-02"

// Baseline are the findings of archipel security that a fleet's owners accept for a time.
type Baseline struct {
	Accepted []Accepted // in the order of the file
	now      time.Time
}

// Accepted is an entry of the baseline: findings of some rules about some subject.
type Accepted struct {
	Rules    []string
	Subject  string // of findings; * stands for any characters; empty: whatever the subject
	Path     string // of files, as in Ignore; empty: whatever the file. Subject, Path or both are given
	Site     string // empty: whatever the site
	Reason   string
	Until    time.Time        // the first moment at which it no longer counts: the end of the day that the file says, in UTC
	Position finding.Position // of the entry
}

// LoadBaseline reads the baseline of a repository, nil when it has none. What it cannot use
// is a finding and accepts nothing. now decides what has expired.
func LoadBaseline(repo fs.FS, now time.Time) (*Baseline, []finding.Finding) {
	if _, err := fs.Stat(repo, BaselineFile); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	b := &Baseline{now: now}
	file, findings := source.ReadYAML(repo, BaselineFile)
	if file == nil || len(file.Documents) == 0 {
		return b, findings
	}
	d := decoder{file: file, findings: findings, rules: decoderRules{key: "baseline-invalid", value: "baseline-invalid"}}
	d.mapping(file.Documents[0], "the baseline", keys{
		"accepted": func(_, n *yaml.Node) {
			for _, entry := range d.sequence(n, "accepted") {
				if accepted, ok := d.accepted(entry); ok {
					b.Accepted = append(b.Accepted, accepted)
				}
			}
		},
	})
	for _, extra := range file.Documents[1:] {
		d.invalid(extra, "the baseline is one document, and this is another", "remove it, or merge it into the first")
	}
	finding.Sort(d.findings)
	return b, d.findings
}

// accepted takes an entry that is complete and right, as ignore does.
func (d *decoder) accepted(n *yaml.Node) (Accepted, bool) {
	a := Accepted{Position: d.file.Position(n)}
	before := len(d.findings)
	given := map[string]bool{}
	into := func(field *string, take func(*yaml.Node) (string, bool)) func(key, value *yaml.Node) {
		return func(key, value *yaml.Node) {
			*field, _ = take(value)
			given[key.Value] = true
		}
	}
	if !d.mapping(n, "an entry", keys{
		"rules": func(_, value *yaml.Node) {
			for _, entry := range d.sequence(value, "rules") {
				if rule, ok := d.rule(entry); ok {
					a.Rules = append(a.Rules, rule)
				}
			}
			given["rules"] = len(a.Rules) > 0
		},
		"subject": into(&a.Subject, d.words),
		"path":    into(&a.Path, d.pattern),
		"site":    into(&a.Site, d.words),
		"reason":  into(&a.Reason, d.words),
		"until": func(_, value *yaml.Node) {
			given["until"] = true
			text, _ := d.scalar(value)
			day, err := time.Parse(dateLayout, text)
			if err != nil {
				d.invalid(value, "this is no day", "write it as "+dateLayout+", for example "+time.Date(2027, 12, 31, 0, 0, 0, 0, time.UTC).Format(dateLayout))
			}
			a.Until = day.AddDate(0, 0, 1)
		},
	}) {
		return Accepted{}, false
	}
	if !given["subject"] && !given["path"] {
		d.invalid(n, "an entry needs a subject or a path", "add subject: as the finding shows it, or path:")
	}
	for key, fix := range map[string]string{
		"rules":  "add rules: and the ids that findings show in brackets",
		"reason": "add reason: and why the findings are accepted here",
		"until":  "add until: and the day on which somebody looks at it again",
	} {
		if !given[key] {
			d.invalid(n, "an entry needs "+key, fix)
		}
	}
	return a, len(d.findings) == before
}

// matches says whether an entry is about a finding at a site, expired or not.
func (a Accepted) matches(f finding.Finding, site string) bool {
	return slices.Contains(a.Rules, f.Rule) && (a.Site == "" || a.Site == site) &&
		(a.Subject == "" || wildcard(a.Subject, f.Subject)) && (a.Path == "" || match(a.Path, f.Position.File))
}

// wildcard matches text against a pattern in which * stands for any characters.
func wildcard(pattern, text string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return strings.HasSuffix(text, last)
}

// Use is a baseline in one run. A nil Use accepts nothing.
type Use struct {
	baseline *Baseline
	used     []map[string]bool // by entry: its rules that accepted something
}

// Use begins a run.
func (b *Baseline) Use() *Use {
	if b == nil {
		return nil
	}
	u := &Use{baseline: b}
	for range b.Accepted {
		u.used = append(u.used, map[string]bool{})
	}
	return u
}

// Left returns the sites of a finding at which it is not accepted; nil when it is accepted
// altogether, and not nil for a finding about no site that is not.
func (u *Use) Left(f finding.Finding) []string {
	sites := append([]string{}, f.Sites...)
	if u == nil {
		return sites
	}
	accepts := func(site string) bool {
		found := false
		for i, a := range u.baseline.Accepted {
			if a.matches(f, site) {
				u.used[i][f.Rule] = true
				found = found || u.baseline.now.Before(a.Until)
			}
		}
		return found
	}
	if len(sites) == 0 {
		if accepts("") {
			return nil
		}
		return sites
	}
	if sites = slices.DeleteFunc(sites, accepts); len(sites) == 0 {
		return nil
	}
	return sites
}

// Problems are the entries that have expired, and, when every site was looked at, those
// that accept nothing of a rule that ran.
func (u *Use) Problems(ran func(rule string) bool, all bool) []finding.Finding {
	if u == nil {
		return nil
	}
	var findings []finding.Finding
	for i, a := range u.baseline.Accepted {
		if !u.baseline.now.Before(a.Until) {
			findings = append(findings, finding.Finding{
				Rule: "baseline-expired", Severity: finding.Warning, Position: a.Position,
				Message: "this accepted findings until " + a.Until.AddDate(0, 0, -1).Format(dateLayout),
				Fix:     "repair what it was about and remove it, or decide anew and move until",
			})
		}
		for _, rule := range a.Rules {
			if all && ran(rule) && !u.used[i][rule] {
				findings = append(findings, finding.Finding{
					Rule: "baseline-unused", Severity: finding.Warning, Position: a.Position,
					Message: fmt.Sprintf("nothing is found that this accepts: no %s of %s", rule, strings.TrimSpace(a.Subject+" "+a.Path)),
					Fix:     "remove " + rule + " from the entry",
				})
			}
		}
	}
	return findings
}

// Unknown returns one finding for each entry that names a rule which there is not.
func (b *Baseline) Unknown(known func(rule string) bool) []finding.Finding {
	if b == nil {
		return nil
	}
	var findings []finding.Finding
	for _, a := range b.Accepted {
		for _, rule := range a.Rules {
			if !known(rule) {
				findings = append(findings, unknownRule(rule, a.Position))
			}
		}
	}
	return findings
}
