package check

import "archipel/internal/finding"

func policyRuleFirm() Rule {
	return Rule{
		ID: "policy-rule-firm", Group: Policy, Severity: finding.Error,
		Summary: "archipel.yaml ignores or lowers a rule that cannot be.",
		Reason:  "Where such a rule finds something, the rest could not be read: a clean report would say nothing.",
		Bad:     overlay("archipel.yaml", "severities:\n  yaml-syntax: off\n"),
		Good:    overlay("archipel.yaml", "severities:\n  yaml-bool-ambiguous: off\n"),
	}
}
