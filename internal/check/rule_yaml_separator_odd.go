package check

import (
	"strings"

	"archipel/internal/finding"
)

func yamlSeparatorOdd() Rule {
	return Rule{
		ID: "yaml-separator-odd", Group: YAML, Severity: finding.Warning,
		Summary: "A line separates documents in a way that not all readers know.",
		Reason: "Kubernetes and kustomize split a file at lines that are --- alone, before YAML is read " +
			"(https://github.com/kubernetes/apimachinery/blob/master/pkg/util/yaml/decoder.go). What follows ... or stands behind " +
			"--- is lost to some of them.",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value\n...\n---\nother: value\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value\n---\nother: value\n"),
		File: func(f *File) []finding.Finding {
			if layer(f.Path) != "flux" {
				return nil
			}
			var findings []finding.Finding
			number := 0
			for line := range strings.Lines(string(f.Data)) {
				number++
				line = strings.TrimRight(line, " \t\r\n")
				rest, separator := strings.CutPrefix(line, "---")
				rest = strings.TrimLeft(rest, " \t")
				if line == "..." || separator && rest != "" && !strings.HasPrefix(rest, "#") {
					at := finding.Position{File: f.Path, Line: number, Column: 1, Width: 3}
					findings = append(findings, problem(at, "separate documents with a line that is --- alone", "readers disagree about this separator"))
				}
			}
			return findings
		},
	}
}
