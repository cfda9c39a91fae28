package check

import (
	"strings"

	"archipel/internal/finding"
)

func sopsMetadataEncrypted() Rule {
	return Rule{
		ID: "sops-metadata-encrypted", Group: Secrets, Severity: finding.Error,
		Summary: "SOPS encrypted the kind or the name of a manifest, which Flux must read.",
		Reason: "kustomize reads kind, name and namespace before Flux decrypts anything. Encrypt data and stringData only, with encrypted_regex " +
			"(https://fluxcd.io/flux/guides/mozilla-sops/).",
		Bad:  overlay(sealedFile, strings.Replace(sealedExample(encryptedExample), "kind: Secret", "kind: "+encryptedExample, 1)),
		Good: overlay(sealedFile, sealedExample(encryptedExample)),
		File: func(f *File) []finding.Finding {
			if !f.SOPS() || !strings.HasPrefix(f.Path, flux+"/") {
				return nil
			}
			var found []finding.Finding
			for _, document := range f.Documents {
				for _, path := range [][]string{{"apiVersion"}, {"kind"}, {"metadata", "name"}, {"metadata", "namespace"}} {
					if _, value := lookup(document, path...); value != nil && strings.HasPrefix(value.Value, "ENC[") {
						found = append(found, veiled(problem(f.Position(value), "set encrypted_regex to ^(data|stringData)$ in .sops.yaml, and encrypt the file anew", "%s is encrypted", strings.Join(path, "."))))
						break
					}
				}
			}
			return found
		},
	}
}
