package check

import "archipel/internal/finding"

func factUnknown() Rule {
	return Rule{
		ID: "fact-unknown", Group: Inventory, Severity: finding.Warning,
		Summary: "A variable is named almost like a fact.",
		Reason: "Ansible takes any name, so that a typing error stays silent and the fact keeps its default. When the fact is missing, " +
			"this is an error.",
		Bad:  factsWith("mesh_api_adress: 198.51.100.201"),
		Good: factsWith("ntp_server: ntp.example.org"),
	}
}
