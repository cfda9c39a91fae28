package check

import (
	"archipel/internal/finding"
	"archipel/internal/guard"
)

func secretPlaintext() Rule {
	return Rule{
		ID: guard.RulePlainSecret, Group: Secrets, Severity: finding.Error,
		Summary: "A Secret stands in Git in plain text.",
		Reason: "base64 is no encryption: whoever can read the repository, now or ever, has the value. If it was pushed already, replace it " +
			"(https://fluxcd.io/flux/guides/mozilla-sops/). Empty values, and values that are nothing but a substitution without a default, are no secrets.",
		Bad:  inWhoami(secretExample("cGxhaW4=")),
		Good: inWhoami(secretExample("${token:=}")),
		File: func(f *File) []finding.Finding {
			if f.SOPS() {
				return nil // the rules of SOPS
			}
			return guard.PlainSecrets(f.YAML)
		},
	}
}

func secretExample(value string) string {
	return `
apiVersion: v1
kind: Secret
metadata:
  name: example
  namespace: whoami
data:
  token: ` + value + `
`
}
