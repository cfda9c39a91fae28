package check

import "archipel/internal/finding"

func factInvalid() Rule {
	return Rule{
		ID: "fact-invalid", Group: Inventory, Severity: finding.Error,
		Summary: "A fact has a value that it cannot have.",
		Reason: "The value does not match what the program that gets it accepts; docs/reference/facts.md lists each fact with its " +
			"bounds.",
		Bad:  factsWith("mtu: 900"),
		Good: factsWith("mtu: 1400"),
	}
}
