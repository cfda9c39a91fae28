package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/guard"
)

func sopsRecipientsDiffer() Rule {
	return Rule{
		ID: "sops-recipients-differ", Group: Secrets, Severity: finding.Error,
		Summary: "A file is encrypted for other keys than .sops.yaml says.",
		Reason: "A key that was added cannot open it, which shows on the day it is needed; a key that was taken away still can. sops updatekeys brings the file in line " +
			"(https://getsops.io/docs/#updatekeys-command).",
		Bad:  sopsConfigExample(strings.Replace(recipientExample, "qq", "zz", 1), "^(data|stringData)$") + overlay(sealedFile, sealedExample(encryptedExample)),
		Good: sopsConfigExample(recipientExample, "^(data|stringData)$") + overlay(sealedFile, sealedExample(encryptedExample)),
		File: func(f *File) []finding.Finding {
			rule := f.sopsConfig().rule(f.Path)
			if !f.SOPS() || rule == nil || len(rule.recipients) == 0 {
				return nil
			}
			var found []finding.Finding
			for _, document := range f.Documents {
				if !guard.IsSealed(document) {
					continue
				}
				has := recipientsOf(document)
				_, at := lookup(document, "sops", "age")
				if at == nil {
					_, at = lookup(document, "sops")
				}
				for _, recipient := range rule.recipients {
					if !slices.Contains(has, recipient) {
						found = append(found, problem(f.Position(at), "run sops updatekeys on it", "the file is not encrypted for %s, which .sops.yaml names", recipient))
					}
				}
				for _, recipient := range has {
					if !slices.Contains(rule.recipients, recipient) {
						found = append(found, problem(f.Position(at), "run sops updatekeys on it, and replace what it holds", "the file is encrypted for %s, which .sops.yaml does not name", recipient))
					}
				}
			}
			return found
		},
	}
}
