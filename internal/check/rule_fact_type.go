package check

import "archipel/internal/finding"

func factType() Rule {
	return Rule{
		ID: "fact-type", Group: Inventory, Severity: finding.Error,
		Summary: "A fact has a value of another type, for example text where a number belongs.",
		Reason:  "Ansible, Terraform and Flux convert types differently; only a value of the right type means the same to all.",
		Bad:     factsWith("cluster_id: \"1\""),
		Good:    factsWith("cluster_id: 1"),
	}
}
