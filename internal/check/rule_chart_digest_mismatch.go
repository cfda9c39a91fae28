package check

import (
	"archipel/internal/finding"
)

// chartDigestMismatch documents what render finds.
func chartDigestMismatch() Rule {
	return Rule{
		ID: "chart-digest-mismatch", Group: Flux, Severity: finding.Error,
		Summary: "A chart is not the one that archipel.lock pins.",
		Reason: "Somebody published another content under the same version. Until it is known who and why, no site should get it (docs/reference/lint.md). " +
			"There is no example: it would need a registry.",
	}
}
