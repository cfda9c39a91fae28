package check

import "archipel/internal/finding"

func yamlDuplicateKey() Rule {
	return Rule{
		ID: "yaml-duplicate-key", Group: YAML, Severity: finding.Error,
		Summary: "A mapping states a key twice.",
		Reason: "YAML asks for keys that are unique (https://yaml.org/spec/1.2.2/#3213-node-comparison). Readers differ: kustomize " +
			"refuses the file, Ansible keeps the last value.",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: a\nkey: b\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: a\n"),
	}
}
