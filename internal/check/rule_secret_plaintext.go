package check

import (
	"strings"

	"archipel/internal/finding"

	"go.yaml.in/yaml/v3"
)

func secretPlaintext() Rule {
	return Rule{
		ID: "secret-plaintext", Group: Secrets, Severity: finding.Error,
		Summary: "A Secret stands in Git in plain text.",
		Reason: "base64 is no encryption: whoever can read the repository, now or ever, has the value. If it was pushed already, replace it " +
			"(https://fluxcd.io/flux/guides/mozilla-sops/). Empty values, and values that are nothing but a substitution, are no secrets.",
		Bad:  inWhoami(secretExample("cGxhaW4=")),
		Good: inWhoami(secretExample("${token:=}")),
		File: func(f *File) []finding.Finding {
			if f.SOPS() {
				return nil // the rules of SOPS
			}
			var found []finding.Finding
			for _, document := range f.Documents {
				_, kind := lookup(document, "kind")
				_, version := lookup(document, "apiVersion")
				if kind == nil || kind.Value != "Secret" || version == nil || version.Value != "v1" || isSealed(document) {
					continue
				}
				for _, field := range []string{"data", "stringData"} {
					_, values := lookup(document, field)
					if values == nil {
						continue
					}
					plainValues(values, nil, func(keys []string, value *yaml.Node) {
						if !(strings.HasPrefix(value.Value, "${") && strings.HasSuffix(value.Value, "}") && strings.Count(value.Value, "${") == 1) {
							found = append(found, veiled(problem(f.Position(value), "move it to a file whose name ends in .sops.yaml, encrypt that with sops, and replace the value if it was ever pushed",
								"%s.%s of this Secret is in plain text", field, strings.Join(keys, "."))))
						}
					})
				}
			}
			return found
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
