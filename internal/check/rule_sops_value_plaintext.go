package check

import (
	"archipel/internal/finding"
	"archipel/internal/guard"
)

func sopsValuePlaintext() Rule {
	return Rule{
		ID: guard.RulePlainValue, Group: Secrets, Severity: finding.Error,
		Summary: "A file that SOPS encrypted holds a value in plain text that it would have encrypted.",
		Reason: "Somebody wrote it in with an editor instead of sops: everybody can read it, the checksum no longer fits, and Flux refuses the file " +
			"(https://getsops.io/docs/#encrypting-only-parts-of-a-file).",
		Bad:   overlay(sealedFile, sealedExample("plain")),
		Good:  overlay(sealedFile, sealedExample(encryptedExample)),
		Fleet: func(f *Fleet) []finding.Finding { return f.sealedFindings(guard.RulePlainValue) },
	}
}
