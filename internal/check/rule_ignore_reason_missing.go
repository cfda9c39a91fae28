package check

import "archipel/internal/finding"

func ignoreReasonMissing() Rule {
	return Rule{
		ID: "ignore-reason-missing", Group: Policy, Severity: finding.Error,
		Summary: "An ignore of archipel.yaml has no reason.",
		Reason:  "Who meets it a year later cannot know whether it may go.",
		Bad:     overlay("archipel.yaml", "ignores:\n  - rule: yaml-bool-ambiguous\n    path: kubernetes/flux/apps/whoami/app/example.yaml\n"),
		Good:    "",
	}
}
