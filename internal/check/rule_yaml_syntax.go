package check

import "archipel/internal/finding"

func yamlSyntax() Rule {
	return Rule{
		ID: "yaml-syntax", Group: YAML, Severity: finding.Error, Firm: true,
		Summary: "A file is not valid YAML.",
		Reason:  "No reader takes it: Flux stops at the folder, Ansible leaves out the file.",
		Bad:     overlay("kubernetes/flux/apps/whoami/app/example.yaml", "spec: [1, 2\n"),
		Good:    overlay("kubernetes/flux/apps/whoami/app/example.yaml", "spec: [1, 2]\n"),
	}
}
