package check

import "archipel/internal/finding"

func ignoreUnused() Rule {
	return Rule{
		ID: "ignore-unused", Group: Policy, Severity: finding.Warning,
		Summary: "An ignore of archipel.yaml ignores nothing.",
		Reason: "The problem was repaired, or the path is mistyped. Left there, the ignore would hide the same problem when it comes " +
			"back.",
		Bad:  overlay("archipel.yaml", "ignores:\n  - rule: yaml-bool-ambiguous\n    path: kubernetes/flux/apps/whoami/app/example.yaml\n    reason: the reader wants it so\n"),
		Good: overlay("archipel.yaml", "ignores:\n  - rule: yaml-bool-ambiguous\n    path: kubernetes/flux/apps/whoami/app/example.yaml\n    reason: the reader wants it so\n") + overlay("kubernetes/flux/apps/whoami/app/example.yaml", "country: no\n"),
	}
}
