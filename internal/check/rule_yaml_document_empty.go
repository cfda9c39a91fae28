package check

import (
	"archipel/internal/finding"
)

func yamlDocumentEmpty() Rule {
	return Rule{
		ID: "yaml-document-empty", Group: YAML, Severity: finding.Warning,
		Summary: "A file of manifests is empty, or one of its documents is.",
		Reason: "Readers drop it in silence: what should stand there is not applied. A separator too many at the end of a file is the " +
			"harmless case.",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value\n---\n---\nother: value\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value\n---\nother: value\n"),
		File: func(f *File) []finding.Finding {
			if layer(f.Path) != "flux" {
				return nil // an empty file of variables is usual
			}
			if len(f.Documents) == 0 {
				return []finding.Finding{problem(finding.Position{File: f.Path}, "write the manifest, or remove the file", "the file holds no document")}
			}
			var findings []finding.Finding
			for _, document := range f.Documents {
				if document.ShortTag() == "!!null" {
					findings = append(findings, problem(f.Position(document), "remove the separator, or write the manifest", "the document is empty"))
				}
			}
			return findings
		},
	}
}
