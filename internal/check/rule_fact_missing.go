package check

import "archipel/internal/finding"

func factMissing() Rule {
	return Rule{
		ID: "fact-missing", Group: Inventory, Severity: finding.Error,
		Summary: "A fact that every site needs is stated nowhere.",
		Reason:  "Flux stops at a variable that has no value, and k3s would start with a default that other sites have too.",
		Bad:     factsWith("-pod_cidr"),
		Good:    factsWith(""),
	}
}
