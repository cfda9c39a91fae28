package check

import "archipel/internal/finding"

func baselineUnused() Rule {
	return Rule{
		ID: "baseline-unused", Group: Policy, Severity: finding.Warning,
		Summary: "An entry of archipel.baseline.yaml accepts nothing.",
		Reason: "What it was about is repaired or gone; left behind, it would accept the same problem when it comes back. Looked at only " +
			"when every site is, and for rules that ran.",
		Bad: overlay("archipel.baseline.yaml", `
accepted:
  - rules: [image-tag-floating]
    subject: Deployment whoami/whoami*
    reason: It is an example.
    until: 2999-01-31
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
