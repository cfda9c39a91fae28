package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
)

// ofEngine says whether a rule is another program's check, as Engine names it.
func ofEngine(rule string) bool {
	for _, engine := range []string{"trivy-", "tfsec-", "kube-linter-"} {
		if strings.HasPrefix(rule, engine) {
			return true
		}
	}
	return false
}

// sameProblem is what two engines that mean the same have in common: the check, as Covers
// names it, and the object or the place.
type sameProblem struct{ check, about string }

// covered returns the indexes of the findings of rules that other programs have checks for.
func (e *engine) covered() map[sameProblem][]int {
	covers := map[string][]string{}
	for _, rule := range e.rules {
		covers[rule.ID] = rule.Covers
	}
	found := map[sameProblem][]int{}
	for i, f := range e.findings {
		for _, check := range covers[f.Rule] {
			key := sameProblem{check, about(f)}
			found[key] = append(found[key], i)
		}
	}
	return found
}

// about is the object of a finding, whichever of its containers, or else the file.
func about(f finding.Finding) string {
	if f.Subject == "" {
		return f.Position.File
	}
	object, _, _ := strings.Cut(f.Subject, " container ")
	return object
}

// merge notes in the findings of rules that another engine has found the same, and says
// whether there were any: at all of its sites.
func (e *engine) merge(covered map[sameProblem][]int, f finding.Finding) bool {
	left := slices.Clone(f.Sites)
	merged := false
	for _, check := range f.Also {
		for _, i := range covered[sameProblem{check, about(f)}] {
			own := &e.findings[i]
			if len(own.Sites) > 0 && !slices.ContainsFunc(own.Sites, func(site string) bool { return slices.Contains(f.Sites, site) }) {
				continue
			}
			own.Also = append(own.Also, check)
			merged = true
			left = slices.DeleteFunc(left, func(site string) bool { return slices.Contains(own.Sites, site) || len(own.Sites) == 0 })
		}
	}
	return merged && len(left) == 0
}
