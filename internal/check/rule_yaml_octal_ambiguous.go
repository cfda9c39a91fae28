package check

import (
	"regexp"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
)

func yamlOctalAmbiguous() Rule {
	return Rule{
		ID: "yaml-octal-ambiguous", Group: YAML, Severity: finding.Warning,
		Summary: "A number begins with a zero or with 0o.",
		Reason: "YAML 1.1 reads 010 as eight and 0o10 as text, YAML 1.2 reads ten and eight (https://yaml.org/spec/1.2.2/ext/changes/). " +
			"What is an identifier, such as a postal code, loses its zeros.",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "mode: 0644\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "mode: 420\ncode: \"0644\"\n"),
		File: ambiguous("write it in decimal, or put it in quotes", func(_, scalar *yaml.Node) string {
			if numeric(scalar.Value) && yamlOctalAmbiguousPattern.MatchString(scalar.Value) {
				return "another number, or text, to readers of YAML 1.1 than to those of 1.2"
			}
			return ""
		}),
	}
}

var yamlOctalAmbiguousPattern = regexp.MustCompile(`^[-+]?0o?[0-7_]*[0-9][0-9_]*$`)
