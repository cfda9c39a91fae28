package check

import (
	"archipel/internal/finding"
	"archipel/internal/guard"
)

func sopsUnencrypted() Rule {
	return Rule{
		ID: guard.RuleUnencrypted, Group: Secrets, Severity: finding.Error,
		Summary: "A file whose name says that SOPS encrypted it is plain text.",
		Reason: "Its name keeps everybody from looking twice, and whoever can read the repository, now or ever, has what is in it. If it was pushed already, replace what it holds " +
			"(https://getsops.io/docs/).",
		Bad: overlay(sealedFile, `
apiVersion: v1
kind: Secret
metadata:
  name: example
  namespace: flux-system
stringData:
  token: plain
`),
		Good:  overlay(sealedFile, sealedExample(encryptedExample)),
		Fleet: func(f *Fleet) []finding.Finding { return f.sealedFindings(guard.RuleUnencrypted) },
	}
}
