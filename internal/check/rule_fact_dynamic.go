package check

import "archipel/internal/finding"

func factDynamic() Rule {
	return Rule{
		ID: "fact-dynamic", Group: Inventory, Severity: finding.Error,
		Summary: "A fact is computed with Jinja or is encrypted.",
		Reason: "archipel and Terraform know the facts without running Ansible and without a key: the text {{ ... }} would reach Flux as " +
			"it stands.",
		Bad:  factsWith("mesh_api_address: \"{{ first_address }}\""),
		Good: factsWith(""),
	}
}
