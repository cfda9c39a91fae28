package check

import (
	"bytes"

	"archipel/internal/finding"
)

func yamlLineEnding() Rule {
	return Rule{
		ID: "yaml-line-ending", Group: YAML, Severity: finding.Warning,
		Summary: "Lines end as on Windows.",
		Reason:  "The carriage return becomes a part of scripts in block scalars, and every line differs for Git.",
		Bad:     overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value\r\n"),
		Good:    overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value\n"),
		File: func(f *File) []finding.Finding {
			at := bytes.Index(f.Data, []byte("\r\n"))
			if at < 0 || f.SOPS() {
				return nil
			}
			line := bytes.Count(f.Data[:at], []byte("\n")) + 1
			column := at - bytes.LastIndexByte(f.Data[:at], '\n')
			return []finding.Finding{problem(finding.Position{File: f.Path, Line: line, Column: column}, "end lines with a line feed alone", "the line ends with a carriage return")}
		},
	}
}
