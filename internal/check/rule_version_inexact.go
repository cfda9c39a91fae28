package check

import "archipel/internal/finding"

func versionInexact() Rule {
	return Rule{
		ID: "version-inexact", Group: Inventory, Severity: finding.Error,
		Summary: "A version is no exact release.",
		Reason:  "With a range or a moving tag two sites run different software from one commit, and nobody can say what ran last week.",
		Bad:     sharedWith("cilium_version: \"1.20\""),
		Good:    sharedWith("cilium_version: 1.20.2"),
	}
}
