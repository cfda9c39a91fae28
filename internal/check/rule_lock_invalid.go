package check

import "archipel/internal/finding"

func lockInvalid() Rule {
	return Rule{
		ID: "lock-invalid", Group: Policy, Severity: finding.Error,
		Summary: "archipel.lock cannot be used.",
		Reason:  "The lock says which chart a version is, by digest. What archipel cannot read there protects nothing.",
		Bad:     overlay("archipel.lock", "charts: 1\n"),
		Good:    "",
	}
}
