package check

import (
	"bytes"
	"slices"

	"archipel/internal/finding"
)

func yamlFinalNewline() Rule {
	return Rule{
		ID: "yaml-final-newline", Group: YAML, Severity: finding.Warning,
		Summary: "The last line of a file does not end.",
		Reason: "POSIX calls such a line incomplete " +
			"(https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap03.html#tag_03_177): files that are put one after the " +
			"other run together, and the next line that is added changes this one too.",
		Bad:  "unended: kubernetes/flux/apps/whoami/app/example.yaml\n" + overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value\n"),
		File: func(f *File) []finding.Finding {
			if len(f.Data) == 0 || bytes.HasSuffix(f.Data, []byte("\n")) || f.SOPS() || !sameYAML(f.Path, f.Data, slices.Concat(f.Data, []byte("\n"))) {
				return nil
			}
			line := bytes.Count(f.Data, []byte("\n")) + 1
			column := len(f.Data) - bytes.LastIndexByte(f.Data, '\n')
			return []finding.Finding{problem(finding.Position{File: f.Path, Line: line, Column: column}, "end it with a line feed; archipel lint --fix does", "the last line does not end")}
		},
	}
}
