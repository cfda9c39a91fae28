package check

import (
	"archipel/internal/finding"
)

func linkOutside() Rule {
	return Rule{
		ID: "link-outside", Group: Layout, Severity: finding.Error,
		Summary: "A symbolic link leads out of the repository.",
		Reason:  "On another machine it leads elsewhere, or to a file that nobody meant to publish. Flux refuses it.",
		Bad:     "link: kubernetes/ansible/secrets.yml -> /etc/passwd\n",
		Good:    "link: kubernetes/ansible/facts.yml -> inventories/fleet.yml\n",
		Fleet: func(f *Fleet) []finding.Finding {
			var findings []finding.Finding
			for _, file := range f.Files {
				if f.escapes(file) {
					findings = append(findings, problem(finding.Position{File: file}, "copy what it leads to into the repository, or remove it", "the link leads out of the repository"))
				}
			}
			return findings
		},
	}
}
