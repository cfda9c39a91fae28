package check

import (
	"bytes"
	"path"

	"archipel/internal/finding"

	"go.yaml.in/yaml/v3"
)

func sopsUnencrypted() Rule {
	return Rule{
		ID: "sops-unencrypted", Group: Secrets, Severity: finding.Error,
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
		Good: overlay(sealedFile, sealedExample(encryptedExample)),
		Fleet: func(f *Fleet) []finding.Finding {
			const fix = "run sops encrypt --in-place on it, and replace what it holds if it was ever pushed"
			var found []finding.Finding
			for _, name := range f.sealedFiles() {
				if ext := path.Ext(name); ext == ".yaml" || ext == ".yml" || ext == ".json" {
					if y := f.Parsed(name); y != nil {
						for _, document := range y.Documents {
							if document.Kind == yaml.MappingNode && !isSealed(document) {
								found = append(found, veiled(problem(y.Position(document), fix, "SOPS has not encrypted this file")))
							}
						}
					}
					continue
				}
				if data, err := f.Read(name); err == nil && !(bytes.Contains(data, []byte("sops")) && bytes.Contains(data, []byte("ENC["))) {
					found = append(found, veiled(problem(finding.Position{File: name}, fix, "SOPS has not encrypted this file")))
				}
			}
			return found
		},
	}
}
