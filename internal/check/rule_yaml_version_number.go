package check

import (
	"regexp"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
)

func yamlVersionNumber() Rule {
	return Rule{
		ID: "yaml-version-number", Group: YAML, Severity: finding.Error,
		Summary: "A version is written as a number.",
		Reason: "Readers of YAML take 1.20 for the number 1.2, and print it so: the chart or image that is asked for is another one, or " +
			"none (https://ruudvanasseldonk.com/2023/01/11/the-yaml-document-from-hell#accidental-numbers).",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "version: 1.20\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "version: \"1.20\"\n"),
		File: ambiguous("put it in quotes", func(key, scalar *yaml.Node) string {
			if key != nil && numeric(scalar.Value) && yamlVersionNumberKey.MatchString(key.Value) && yamlVersionNumberValue.MatchString(scalar.Value) {
				return "a number, which is not printed as it is written, but " + key.Value + " is text"
			}
			return ""
		}),
	}
}

var yamlVersionNumberKey = regexp.MustCompile(`(?i)(version|tag|revision)$`)

var yamlVersionNumberValue = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)
