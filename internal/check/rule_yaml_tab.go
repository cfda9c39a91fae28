package check

import "archipel/internal/finding"

func yamlTab() Rule {
	return Rule{
		ID: "yaml-tab", Group: YAML, Severity: finding.Error, Firm: true,
		Summary: "A line is indented with a tab.",
		Reason: "YAML forbids tabs in indentation, because their width differs between editors " +
			"(https://yaml.org/spec/1.2.2/#61-indentation-spaces).",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "spec:\n	key: value\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "spec:\n  key: value\n"),
	}
}
