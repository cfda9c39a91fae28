package check

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
)

func yamlBoolAmbiguous() Rule {
	return Rule{
		ID: "yaml-bool-ambiguous", Group: YAML, Severity: finding.Warning,
		Summary: "A word is a boolean to some readers of YAML and text to others.",
		Reason: "In YAML 1.1, which Ansible, kustomize and Flux read, yes, no, on, off, y and n are booleans; in YAML 1.2 they are text " +
			"(https://yaml.org/spec/1.2.2/ext/changes/). So the country code of Norway becomes false. A key is concerned too.",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "country: no\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "country: \"no\"\nenabled: true\n"),
		File: ambiguous("write true or false, or put it in quotes", func(_, scalar *yaml.Node) string {
			switch strings.ToLower(scalar.Value) {
			case "y", "n", "yes", "no", "on", "off":
				return "a boolean to readers of YAML 1.1, and text to those of 1.2"
			}
			return ""
		}),
	}
}
