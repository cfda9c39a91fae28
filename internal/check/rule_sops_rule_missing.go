package check

import (
	"path"
	"strings"

	"archipel/internal/finding"
)

func sopsRuleMissing() Rule {
	return Rule{
		ID: "sops-rule-missing", Group: Secrets, Severity: finding.Warning,
		Summary: "No creation rule of .sops.yaml is for a file that SOPS encrypted.",
		Reason: "Whoever edits, rotates or writes the file anew with sops then has to know its keys by heart, and it is left out when keys change " +
			"(https://getsops.io/docs/#using-sops-yaml-conf-to-select-kms-pgp-and-age-for-new-files).",
		Bad:  overlay(".sops.yaml", "creation_rules:\n  - path_regex: ^elsewhere/\n    age: "+recipientExample+"\n") + overlay(sealedFile, sealedExample(encryptedExample)),
		Good: sopsConfigExample(recipientExample, "^(data|stringData)$") + overlay(sealedFile, sealedExample(encryptedExample)),
		File: func(f *File) []finding.Finding {
			if c := f.sopsConfig(); !f.SOPS() || strings.HasPrefix(path.Base(f.Path), ".sops.") || c == nil || c.rule(f.Path) != nil || len(f.Documents) == 0 {
				return nil
			}
			return []finding.Finding{problem(finding.Position{File: f.Path}, "add a creation rule whose path_regex matches it", "no creation rule of .sops.yaml is for this file")}
		},
	}
}
