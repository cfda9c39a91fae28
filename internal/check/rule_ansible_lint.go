package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"archipel/internal/finding"
)

func ansibleLint() Rule {
	return Rule{
		ID: "ansible-lint", Group: Ansible, Severity: finding.Warning,
		Summary: "ansible-lint found something in a playbook or a role.",
		Reason: "ansible-lint knows Ansible's modules and idioms far better than archipel, so what it finds is shown here too. Where it is not installed, that is a skip, not a finding " +
			"(https://ansible.readthedocs.io/projects/lint/). There is no example that runs: the finding is another program's.",
		Fleet: func(f *Fleet) []finding.Finding {
			a := f.ansible()
			if len(a.playbooks) == 0 && len(a.roles) == 0 {
				return nil
			}
			out, err := f.Program("ansible-lint", "--offline", "--nocolor", "-q", "--format", "codeclimate", ansibleTree)
			switch {
			case errors.Is(err, ErrNoProgram):
				f.Skip("ansible-lint-missing", "ansible-lint is not installed: install it to have its findings here")
				return nil
			case err != nil && len(bytes.TrimSpace(out)) == 0:
				f.Skip("ansible-lint-failed", "ansible-lint did not finish: run ansible-lint kubernetes/ansible to see why")
				return nil
			}
			found, err := lintFindings(out)
			if err != nil {
				f.Skip("ansible-lint-failed", "ansible-lint printed something else than findings: run ansible-lint kubernetes/ansible to see what")
			}
			return found
		},
	}
}

// lintFindings reads what ansible-lint prints with --format codeclimate. Its exit code says
// only whether there is something to read.
func lintFindings(out []byte) ([]finding.Finding, error) {
	const most = 1000
	type place struct{ Line, Column int }
	var issues []struct {
		Check       string `json:"check_name"`
		Description string `json:"description"`
		Severity    string `json:"severity"`
		Location    struct {
			Path  string
			Lines struct {
				Begin json.RawMessage // a number, or an object in older releases
			}
			Positions struct{ Begin place }
		}
	}
	if err := json.Unmarshal(out, &issues); err != nil {
		return nil, fmt.Errorf("reading what ansible-lint found: %w", err)
	}
	var found []finding.Finding
	for _, issue := range issues[:min(len(issues), most)] {
		if !fs.ValidPath(issue.Location.Path) {
			continue // outside of the repository
		}
		at := finding.Position{File: issue.Location.Path, Line: issue.Location.Positions.Begin.Line, Column: issue.Location.Positions.Begin.Column}
		if at.Line == 0 {
			var begin place
			if json.Unmarshal(issue.Location.Lines.Begin, &at.Line) != nil && json.Unmarshal(issue.Location.Lines.Begin, &begin) == nil {
				at.Line, at.Column = begin.Line, begin.Column
			}
		}
		message, _, _ := strings.Cut(issue.Description, "\n")
		f := problem(at, "", "%s: %s", issue.Check, strings.TrimSuffix(message, "."))
		if issue.Severity == "blocker" || issue.Severity == "critical" {
			f.Severity = finding.Error
		}
		found = append(found, f)
	}
	return found, nil
}
