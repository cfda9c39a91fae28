package check

import "archipel/internal/finding"

func baselineExpired() Rule {
	return Rule{
		ID: "baseline-expired", Group: Policy, Severity: finding.Warning,
		Summary: "An entry of archipel.baseline.yaml has reached its last day.",
		Reason: "Nothing is accepted for ever: what was right to accept then is looked at again, and from that day on its findings are " +
			"reported anew.",
		Bad: overlay("archipel.baseline.yaml", `
accepted:
  - rules: [trivy-ksv-0001]
    subject: Deployment whoami/whoami*
    reason: It is an example.
    until: 2026-01-31
`),
		Good: overlay("archipel.baseline.yaml", `
accepted:
  - rules: [trivy-ksv-0001]
    subject: Deployment whoami/whoami*
    reason: It is an example.
    until: 2999-01-31
`),
	}
}
