package check

import (
	"regexp"

	"archipel/internal/finding"
)

func sopsRegexPartial() Rule {
	return Rule{
		ID: "sops-regex-partial", Group: Secrets, Severity: finding.Error,
		Summary: "The encrypted_regex of a manifest leaves data or stringData in plain text.",
		Reason: "The file looks encrypted, with its sops section and a checksum, and the values of the Secret can be read by everybody " +
			"(https://fluxcd.io/flux/guides/mozilla-sops/; https://getsops.io/docs/#encrypting-only-parts-of-a-file).",
		Bad:  sopsConfigExample(recipientExample, "^data$"),
		Good: sopsConfigExample(recipientExample, "^(data|stringData)$"),
		File: func(f *File) []finding.Finding {
			const fix = "use ^(data|stringData)$"
			if f.Path == ".sops.yaml" {
				config := f.sopsConfig()
				if config == nil {
					return nil // there is nothing in it
				}
				var found []finding.Finding
				for _, rule := range config.rules {
					// Only rules for Flux's tree are about manifests.
					if rule.path == nil || !rule.path.MatchString(sealedFile) || rule.encrypted == "" {
						continue
					}
					if left := leftPlain(rule.encrypted); left != "" {
						_, value := lookup(rule.node, "encrypted_regex")
						found = append(found, problem(f.Position(value), fix, "this leaves %s of a Secret in plain text", left))
					}
				}
				return found
			}
			if !f.SOPS() {
				return nil
			}
			var found []finding.Finding
			for _, document := range f.Documents {
				_, kind := lookup(document, "kind")
				_, expression := lookup(document, "sops", "encrypted_regex")
				if kind == nil || kind.Value != "Secret" || expression == nil {
					continue
				}
				for _, field := range []string{"data", "stringData"} {
					if _, n := lookup(document, field); n != nil && !regexpMatches(expression.Value, field) {
						found = append(found, veiled(problem(f.Position(expression), fix+", and encrypt the file anew", "this leaves %s in plain text", field)))
					}
				}
			}
			return found
		},
	}
}

// leftPlain returns the first field of a Secret's values that an encrypted_regex does not match.
func leftPlain(expression string) string {
	for _, field := range []string{"data", "stringData"} {
		if !regexpMatches(expression, field) {
			return field
		}
	}
	return ""
}

func regexpMatches(expression, text string) bool {
	compiled, err := regexp.Compile(expression)
	return err == nil && compiled.MatchString(text)
}
