package check

import (
	"fmt"
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/fleet"
	"archipel/internal/guard"
)

// settle makes of all findings those that are reported: of the rules and sites that were
// asked for, with the severities of the policy and without what it ignores. It also
// returns how many are ignored.
func (e *engine) settle(chosen bool) (reported []finding.Finding, ignored int) {
	rules := map[string]Rule{}
	for _, rule := range e.rules {
		rules[rule.ID] = rule
	}
	p := e.fleet.Policy
	all := ids(every())
	known := func(rule string) bool { return slices.Contains(all, rule) || ofEngine(rule) }
	e.add("", slices.Concat(p.Unknown(known), e.baseline.Unknown(known)))
	used := make([]bool, len(p.Ignores))
	accepted := e.baseline.Use()
	for _, f := range e.findings {
		rule, known := rules[f.Rule]
		if !known && chosen || !e.concerned(&f) {
			continue
		}
		if f.Severity == 0 {
			f.Severity = rule.Severity
		}
		if !rule.Firm {
			level, ok := p.Severities[f.Rule]
			switch {
			case ok && level.Level == 0:
				continue
			case ok:
				f.Severity = level.Level
			}
			if f.Sites = e.left(f, used); f.Sites == nil {
				ignored++
				continue
			}
			if f.Sites = accepted.Left(f); f.Sites == nil {
				ignored++
				continue
			}
		}
		reported = append(reported, f)
	}
	reported = append(reported, e.policy(rules, used)...)
	if !chosen {
		ran := func(rule string) bool { _, ok := rules[rule]; return ok }
		reported = append(reported, accepted.Problems(ran, e.fleet.All())...)
	}
	return finding.Dedup(reported), ignored
}

// concerned reports whether a finding is about a site that is looked at, or about no site
// in particular. A file of a site is about that site, whatever else the finding says.
func (e *engine) concerned(f *finding.Finding) bool {
	if e.fleet.All() {
		return true
	}
	sites := f.Sites
	if len(sites) == 0 {
		if site := siteOf(f.Position.File); site != "" {
			if _, ok := e.fleet.Fleet.Site(site); ok {
				sites = []string{site}
			}
		}
	}
	return len(sites) == 0 || slices.ContainsFunc(e.fleet.Sites, func(s *fleet.Site) bool { return slices.Contains(sites, s.Name) })
}

// siteOf returns the name of the site whose folder a file is in, "" when it is in none.
func siteOf(file string) string {
	for _, layer := range []string{inventories, clusters, terraform + "/envs"} {
		if rest, ok := strings.CutPrefix(file, layer+"/"); ok {
			if site, _, ok := strings.Cut(rest, "/"); ok {
				return site
			}
		}
	}
	return ""
}

// left returns the sites of a finding at which it is not ignored; nil when it is ignored
// altogether, and not nil for a finding about no site that is reported.
func (e *engine) left(f finding.Finding, used []bool) []string {
	ignores := func(site string) bool {
		found := false
		for i, ignore := range e.fleet.Policy.Ignores {
			if ignore.Matches(f.Rule, f.Position.File, site) {
				used[i], found = true, true
			}
		}
		return found
	}
	if len(f.Sites) == 0 {
		if ignores("") {
			return nil
		}
		return []string{}
	}
	if sites := slices.DeleteFunc(slices.Clone(f.Sites), ignores); len(sites) > 0 {
		return sites
	}
	return nil
}

// policy checks the policy itself: what it says to no effect.
func (e *engine) policy(rules map[string]Rule, used []bool) []finding.Finding {
	var findings []finding.Finding
	add := func(id string, at finding.Position, message, fix string) {
		rule, runs := rules[id]
		level, set := e.fleet.Policy.Severities[id]
		if !runs || set && level.Level == 0 {
			return
		}
		f := finding.Finding{Rule: id, Severity: rule.Severity, Position: at, Message: message, Fix: fix}
		if set {
			f.Severity = level.Level
		}
		findings = append(findings, f)
	}
	for id, severity := range e.fleet.Policy.Severities {
		if rules[id].Firm && severity.Level != finding.Error {
			add("policy-rule-firm", severity.Position, fmt.Sprintf("%s cannot be lowered: where it finds something, nothing else can be checked", id), "remove the line, and repair what it finds")
		}
	}
	for i, ignore := range e.fleet.Policy.Ignores {
		rule, runs := rules[ignore.Rule]
		switch {
		case !runs: // not asked for, or unknown, which has its finding
		case rule.Firm:
			add("policy-rule-firm", ignore.Position, fmt.Sprintf("%s cannot be ignored: where it finds something, nothing else can be checked", ignore.Rule), "remove the entry, and repair what it finds")
		case !used[i] && e.fleet.All() && !slices.Contains(guard.Rules(), ignore.Rule): // archipel secret check looks at more files
			add("ignore-unused", ignore.Position, fmt.Sprintf("nothing is found that this ignores: no %s in %s", ignore.Rule, ignore.Path), "remove the entry")
		}
	}
	return findings
}

func ids(rules []Rule) []string {
	names := make([]string, len(rules))
	for i, rule := range rules {
		names[i] = rule.ID
	}
	return names
}
