package check

import (
	"regexp"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
)

func yamlTimeAmbiguous() Rule {
	return Rule{
		ID: "yaml-time-ambiguous", Group: YAML, Severity: finding.Warning,
		Summary: "Digits are joined by colons.",
		Reason: "In YAML 1.1, which Ansible reads, 12:30:45 is a number of base 60, and 22:22 is 1342 " +
			"(https://yaml.org/spec/1.2.2/ext/changes/). Times and port mappings are hit by it.",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "port: 22:22\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "port: \"22:22\"\n"),
		File: ambiguous("put it in quotes", func(_, scalar *yaml.Node) string {
			if numeric(scalar.Value) && yamlTimeAmbiguousPattern.MatchString(scalar.Value) {
				return "a number of base 60 to readers of YAML 1.1, and text to those of 1.2"
			}
			return ""
		}),
	}
}

var yamlTimeAmbiguousPattern = regexp.MustCompile(`^[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$`)
