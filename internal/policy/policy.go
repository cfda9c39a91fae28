// Package policy reads archipel.yaml and the baseline: what a fleet's owners decided about findings and mirrors.
package policy

import (
	"errors"
	"fmt"
	"io/fs"

	"archipel/internal/finding"
	"archipel/internal/source"
)

// File is where the policy stands, relative to the repository's root.
const File = "archipel.yaml"

// Policy is what archipel.yaml says. The zero value is that of a repository
// without one.
type Policy struct {
	Severities map[string]Severity // by rule id
	Ignores    []Ignore            // in the order of the file
	// Mirrors are where what a host offers is fetched from, as in k3s's
	// registries.yaml: URLs by host[:port], tried in order before the host itself.
	// The host "*" stands for all that are not listed.
	Mirrors map[string][]string
	FailOn  finding.Severity // least severity that makes lint fail; 0 when not said
}

// Severity is what the findings of a rule count as.
type Severity struct {
	Level    finding.Severity // 0: the rule is off
	Position finding.Position // of the rule's id
}

// Ignore accepts the findings of one rule at some place.
type Ignore struct {
	Rule     string
	Path     string // of files, slash-separated, from the repository's root; * and ? within a name, ** for any number of folders
	Site     string // empty: whatever the site
	Reason   string
	Position finding.Position // of the entry
}

// Matches reports whether a finding of the rule in the file, at the site, is
// accepted. The site is empty for a finding about no site.
func (i Ignore) Matches(rule, file, site string) bool {
	return i.Rule == rule && (i.Site == "" || i.Site == site) && match(i.Path, file)
}

// Unknown returns one finding for each place that names a rule which there is not.
func (p *Policy) Unknown(known func(rule string) bool) []finding.Finding {
	var findings []finding.Finding
	for rule, severity := range p.Severities {
		if !known(rule) {
			findings = append(findings, unknownRule(rule, severity.Position))
		}
	}
	for _, ignore := range p.Ignores {
		if !known(ignore.Rule) {
			findings = append(findings, unknownRule(ignore.Rule, ignore.Position))
		}
	}
	finding.Sort(findings)
	return findings
}

func unknownRule(rule string, at finding.Position) finding.Finding {
	return finding.Finding{
		Rule: "policy-rule-unknown", Severity: finding.Error, Position: at,
		Message: fmt.Sprintf("there is no rule %q", rule), Fix: "write the id of a rule as findings show it in brackets, or remove the entry",
	}
}

// Load reads the policy of a repository. What it cannot use is a finding and is
// left out of the policy, which is never nil.
func Load(repo fs.FS) (*Policy, []finding.Finding) {
	p := &Policy{}
	if _, err := fs.Stat(repo, File); errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	file, findings := source.ReadYAML(repo, File)
	if file == nil || len(file.Documents) == 0 {
		return p, findings
	}
	d := decoder{file: file, findings: findings, rules: decoderRules{key: "policy-key-unknown", value: "policy-value-invalid"}}
	d.policy(p, file.Documents[0])
	for _, extra := range file.Documents[1:] {
		d.invalid(extra, "the policy is one document, and this is another", "remove it, or merge it into the first")
	}
	finding.Sort(d.findings)
	return p, d.findings
}
