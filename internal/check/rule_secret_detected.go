package check

import (
	"archipel/internal/finding"
	"archipel/internal/guard"
)

// secretDetected documents what archipel secret check finds.
func secretDetected() Rule {
	return Rule{
		ID: guard.RuleDetected, Group: Secrets, Severity: finding.Error,
		Summary: "A file holds what gitleaks takes for a secret.",
		Reason: "Only archipel secret check --staged and --history look for it. gitleaks knows how the tokens of some 200 products look, and takes other text for a secret when it stands " +
			"beside a word such as password and looks random; accept that in archipel.yaml when it is none (https://github.com/gitleaks/gitleaks). There is no example: it would be found.",
	}
}
