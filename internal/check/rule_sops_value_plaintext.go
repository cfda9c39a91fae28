package check

import (
	"regexp"
	"slices"
	"strings"

	"archipel/internal/finding"

	"go.yaml.in/yaml/v3"
)

func sopsValuePlaintext() Rule {
	return Rule{
		ID: "sops-value-plaintext", Group: Secrets, Severity: finding.Error,
		Summary: "A file that SOPS encrypted holds a value in plain text that it would have encrypted.",
		Reason: "Somebody wrote it in with an editor instead of sops: everybody can read it, the checksum no longer fits, and Flux refuses the file " +
			"(https://getsops.io/docs/#encrypting-only-parts-of-a-file).",
		Bad:  overlay(sealedFile, sealedExample("plain")),
		Good: overlay(sealedFile, sealedExample(encryptedExample)),
		File: func(f *File) []finding.Finding {
			if !f.SOPS() {
				return nil
			}
			var found []finding.Finding
			for _, document := range f.Documents {
				if !isSealed(document) {
					continue // sops-unencrypted says so
				}
				chosen := sopsChoice(document)
				plainValues(document, nil, func(keys []string, value *yaml.Node) {
					if keys[0] != "sops" && chosen(keys) {
						found = append(found, veiled(problem(f.Position(value), "change the file with sops edit, and replace the value if it was ever pushed", "%s is not encrypted", strings.Join(keys, "."))))
					}
				})
			}
			return found
		},
	}
}

// sopsChoice returns which values SOPS encrypts in a document, by the keys that lead to
// them, as its metadata says (sops.Tree.Encrypt).
func sopsChoice(document *yaml.Node) func(keys []string) bool {
	for _, field := range []string{"encrypted_regex", "unencrypted_regex", "encrypted_suffix", "unencrypted_suffix"} {
		_, n := lookup(document, "sops", field)
		if n == nil || n.Value == "" {
			continue
		}
		matches := func(key string) bool { return strings.HasSuffix(key, n.Value) }
		if strings.HasSuffix(field, "_regex") {
			expression, err := regexp.Compile(n.Value)
			if err != nil {
				return func([]string) bool { return false }
			}
			matches = expression.MatchString
		}
		inverted := strings.HasPrefix(field, "un")
		return func(keys []string) bool { return slices.ContainsFunc(keys, matches) != inverted }
	}
	return func(keys []string) bool {
		return !slices.ContainsFunc(keys, func(key string) bool { return strings.HasSuffix(key, "_unencrypted") })
	}
}

// plainValues calls with each value of a document that is not encrypted. Empty texts and
// nulls are, for SOPS, nothing to encrypt.
func plainValues(n *yaml.Node, keys []string, with func(keys []string, value *yaml.Node)) {
	switch n = follow(n); n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			plainValues(n.Content[i+1], append(slices.Clone(keys), n.Content[i].Value), with)
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			plainValues(c, keys, with)
		}
	case yaml.ScalarNode:
		if len(keys) > 0 && n.Value != "" && n.ShortTag() != "!!null" && !strings.HasPrefix(n.Value, "ENC[") {
			with(keys, n)
		}
	}
}
