package check

import (
	"path"
	"slices"
	"strings"

	"archipel/internal/finding"
)

func fileNameCase() Rule {
	return Rule{
		ID: "file-name-case", Group: Layout, Severity: finding.Error,
		Summary: "The names of two files differ in case only.",
		Reason:  "On the file systems of macOS and Windows a clone has one of them only.",
		Bad:     overlay("kubernetes/flux/apps/whoami/app/Release.yaml", "key: value\n"),
		Good:    "",
		Fleet: func(f *Fleet) []finding.Finding {
			var findings []finding.Finding
			first := map[string]string{}
			for _, name := range slices.Concat(f.Dirs, f.Files) {
				lower := path.Join(path.Dir(name), strings.ToLower(path.Base(name)))
				if other, ok := first[lower]; ok {
					findings = append(findings, problem(finding.Position{File: name}, "rename one of them", "the name differs from %s in case only", path.Base(other)))
					continue
				}
				first[lower] = name
			}
			return findings
		},
	}
}
