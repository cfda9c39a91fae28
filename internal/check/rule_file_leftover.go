package check

import (
	"path"
	"strings"

	"archipel/internal/finding"
)

func fileLeftover() Rule {
	return Rule{
		ID: "file-leftover", Group: Layout, Severity: finding.Warning,
		Summary: "A file was left behind by an editor, a merge or a desktop.",
		Reason:  "It holds an old version of another file, at times of one that was a secret. Ansible and kustomize read some of them.",
		Bad:     overlay("kubernetes/ansible/inventories/site-a/hosts.yml.orig", "all:\n"),
		Good:    overlay("kubernetes/ansible/inventories/site-a/notes.md", "Notes.\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var findings []finding.Finding
			for _, file := range f.Files {
				name := path.Base(file)
				switch ext := path.Ext(name); {
				case ext == ".orig", ext == ".rej", ext == ".bak", ext == ".swp", ext == ".swo", ext == ".tmp", strings.HasSuffix(name, "~"), name == ".DS_Store", name == "Thumbs.db":
					findings = append(findings, problem(finding.Position{File: file}, "remove it", "the file is a leftover that no layer reads"))
				}
			}
			return findings
		},
	}
}
