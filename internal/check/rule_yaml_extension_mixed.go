package check

import (
	"path"

	"archipel/internal/finding"
)

func yamlExtensionMixed() Rule {
	return Rule{
		ID: "yaml-extension-mixed", Group: YAML, Severity: finding.Warning,
		Summary: "Files of one layer end in .yaml and in .yml.",
		Reason: "Who looks for a file, or writes a pattern for an editor or for CI, misses those with the other ending. The ending that " +
			"most files of the layer have is the right one.",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yml", "key: value\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			count := map[string]map[string]int{}
			for _, file := range f.yamlFiles() {
				if count[layer(file)] == nil {
					count[layer(file)] = map[string]int{}
				}
				count[layer(file)][path.Ext(file)]++
			}
			var findings []finding.Finding
			for _, file := range f.yamlFiles() {
				usual, other := ".yaml", ".yml"
				n := count[layer(file)]
				if n[other] > n[usual] {
					usual, other = other, usual
				}
				if layer(file) != "" && path.Ext(file) == other {
					findings = append(findings, problem(finding.Position{File: file}, "rename it, and what refers to it", "the file ends in %s, but most of %s/%s end in %s", other, tree, layer(file), usual))
				}
			}
			return findings
		},
	}
}
