package check

import (
	"archipel/internal/finding"
	"archipel/internal/guard"
)

// secretUnchecked documents what archipel secret check finds.
func secretUnchecked() Rule {
	return Rule{
		ID: guard.RuleUnchecked, Group: Secrets, Severity: finding.Warning,
		Summary: "A file is too large to look for secrets in it.",
		Reason:  "Only archipel secret check finds it. Files of more than 16 MiB do not belong in Git, and one may hold anything. There is no example: it would be that large.",
	}
}
