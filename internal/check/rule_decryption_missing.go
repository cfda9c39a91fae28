package check

import (
	"archipel/internal/finding"
)

// decryptionMissing documents what render finds.
func decryptionMissing() Rule {
	return Rule{
		ID: "decryption-missing", Group: Secrets, Severity: finding.Error,
		Summary: "A Kustomization applies a file that SOPS encrypted, and does not decrypt.",
		Reason: "The Secret would come to the cluster with encrypted text as its values, or be refused " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/#decryption).",
		Bad:  noDefaults("") + overlay("kubernetes/flux/apps/whoami/app/example.sops.yaml", sealedExample(encryptedExample)),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.sops.yaml", sealedExample(encryptedExample)),
	}
}
