package check

import "archipel/internal/finding"

func policyValueInvalid() Rule {
	return Rule{
		ID: "policy-value-invalid", Group: Policy, Severity: finding.Error,
		Summary: "archipel.yaml has a value of the wrong form.",
		Reason:  "It is left out, so that the policy is not what its authors meant.",
		Bad:     overlay("archipel.yaml", "fail-on: never\n"),
		Good:    overlay("archipel.yaml", "fail-on: warning\n"),
	}
}
