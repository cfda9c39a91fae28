package check

import "archipel/internal/finding"

func baselineInvalid() Rule {
	return Rule{
		ID: "baseline-invalid", Group: Policy, Severity: finding.Error,
		Summary: "An entry of archipel.baseline.yaml cannot be used.",
		Reason: "An entry that is incomplete or misspelt would accept other findings than its author meant. Each needs rules, subject or " +
			"path, reason and until (docs/how-to/security-scan.md).",
		Bad: overlay("archipel.baseline.yaml", `
accepted:
  - rules: [trivy-ksv-0001]
    reason: It is an example.
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
