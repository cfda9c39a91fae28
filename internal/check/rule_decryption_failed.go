package check

import (
	"strings"

	"archipel/internal/finding"
)

// decryptionFailed documents what render finds.
func decryptionFailed() Rule {
	return Rule{
		ID: "decryption-failed", Group: Secrets, Severity: finding.Error,
		Summary: "A file that SOPS encrypted cannot be decrypted.",
		Reason:  "Flux fails at the Kustomization that holds it. The file is damaged, or was changed with an editor (https://fluxcd.io/flux/guides/mozilla-sops/).",
		Bad:     overlay("kubernetes/flux/apps/whoami/app/example.sops.yaml", strings.Replace(sealedExample(encryptedExample), "2026-01-01T00:00:00Z", "yesterday", 1)),
		Good:    overlay("kubernetes/flux/apps/whoami/app/example.sops.yaml", sealedExample(encryptedExample)),
	}
}
