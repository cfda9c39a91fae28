package check

import "archipel/internal/finding"

func policyKeyUnknown() Rule {
	return Rule{
		ID: "policy-key-unknown", Group: Policy, Severity: finding.Error,
		Summary: "archipel.yaml has a key that means nothing.",
		Reason:  "What stands below it has no effect.",
		Bad:     overlay("archipel.yaml", "severity: {}\n"),
		Good:    overlay("archipel.yaml", "severities: {}\n"),
	}
}
