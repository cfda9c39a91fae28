package check

import "archipel/internal/finding"

func factNotation() Rule {
	return Rule{
		ID: "fact-notation", Group: Inventory, Severity: finding.Error,
		Summary: "A fact is written so that readers of YAML disagree about its value.",
		Reason: "Ansible reads YAML 1.1, where 010 is eight; Terraform and Kubernetes read YAML 1.2, where it is ten " +
			"(https://yaml.org/spec/1.2.2/ext/changes/).",
		Bad:  factsWith("cluster_id: 010"),
		Good: factsWith("cluster_id: 8"),
	}
}
