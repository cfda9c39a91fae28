package check

import (
	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
)

func yamlMergeKey() Rule {
	return Rule{
		ID: "yaml-merge-key", Group: YAML, Severity: finding.Warning,
		Summary: "A manifest uses the merge key <<.",
		Reason: "The merge key was a proposal for YAML 1.1 and is not in YAML 1.2 (https://yaml.org/type/merge.html): kubectl and " +
			"kustomize resolve it, other tools keep a field named <<. What a manifest says should not depend on who reads it; " +
			"kustomize has patches and components for what is shared.",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "a: &a\n  x: 1\nb:\n  <<: *a\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "a: &a\n  x: 1\nb: *a\n"),
		File: func(f *File) []finding.Finding {
			if layer(f.Path) != "flux" {
				return nil // Ansible documents it
			}
			var findings []finding.Finding
			eachScalar(f, func(_, scalar *yaml.Node) {
				if scalar.Tag == "!!merge" {
					findings = append(findings, problem(f.Position(scalar), "write the fields out, or use a patch", "the merge key is no part of YAML 1.2"))
				}
			})
			return findings
		},
	}
}
