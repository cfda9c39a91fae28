package check

import (
	"regexp"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
)

func yamlNumberAmbiguous() Rule {
	return Rule{
		ID: "yaml-number-ambiguous", Group: YAML, Severity: finding.Warning,
		Summary: "A plain text looks like a number with an exponent or with underscores.",
		Reason: "YAML 1.2 reads 12e3 as a number, YAML 1.1 as text; 1_000 is a number in YAML 1.1 only " +
			"(https://yaml.org/spec/1.2.2/ext/changes/). Commit hashes and names are hit by it.",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "revision: 12345e6\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "revision: \"12345e6\"\n"),
		File: ambiguous("put it in quotes, or write the number in full", func(_, scalar *yaml.Node) string {
			if numeric(scalar.Value) && yamlNumberAmbiguousPattern.MatchString(scalar.Value) {
				return "a number to some readers of YAML, and text to others"
			}
			return ""
		}),
	}
}

var yamlNumberAmbiguousPattern = regexp.MustCompile(`^([-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+|[-+]?[0-9]+(_[0-9]+)+)$`)
