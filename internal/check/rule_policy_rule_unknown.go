package check

import "archipel/internal/finding"

func policyRuleUnknown() Rule {
	return Rule{
		ID: "policy-rule-unknown", Group: Policy, Severity: finding.Error,
		Summary: "archipel.yaml names a rule that there is none of.",
		Reason:  "It has no effect; most often the id is mistyped. Findings show the id in brackets.",
		Bad:     overlay("archipel.yaml", "severities:\n  yaml-norway: off\n"),
		Good:    overlay("archipel.yaml", "severities:\n  yaml-bool-ambiguous: off\n"),
	}
}
