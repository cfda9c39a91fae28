package guard

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
	"archipel/internal/secret"
	"archipel/internal/source"
)

const (
	fixUnencrypted = "run archipel secret encrypt on it, and replace what it holds if it was ever pushed"
	fixPlainValue  = "change the file with archipel secret edit, and replace the value if it was ever pushed"
)

// Sealed looks at a file whose name says that SOPS encrypted it. parsed is the file when
// its reader has it already, else nil.
func Sealed(name string, data []byte, parsed *source.YAML) []finding.Finding {
	format := secret.FormatOf(name)
	if format == secret.Dotenv || format == secret.INI {
		return sealedLines(name, data)
	}
	if parsed == nil {
		parsed, _ = source.ParseYAML(name, data) // JSON is YAML, and what has no format SOPS wraps in JSON
	}
	if parsed == nil {
		return []finding.Finding{unreadable(name)}
	}
	return append(unencrypted(parsed), plainValues(parsed)...)
}

// unreadable is the finding for what nobody can say is encrypted.
func unreadable(name string) finding.Finding {
	return veiled(RuleUnencrypted, finding.Position{File: name}, "restore it from Git, or encrypt it anew",
		"this cannot be read as a file of SOPS, so that nothing says it is encrypted")
}

// unencrypted finds the documents of a file of SOPS that SOPS has not encrypted.
func unencrypted(y *source.YAML) []finding.Finding {
	var found []finding.Finding
	for _, document := range y.Documents {
		switch {
		case document.Kind == yaml.ScalarNode && isEmpty(document):
		case !IsSealed(document):
			found = append(found, veiled(RuleUnencrypted, y.Position(document), fixUnencrypted, "SOPS has not encrypted this file"))
		case !holdsSealed(document):
			found = append(found, veiled(RuleUnencrypted, y.Position(document), fixUnencrypted, "SOPS has encrypted nothing in this file"))
		}
	}
	return found
}

// IsSealed says whether a document carries what SOPS adds when it encrypts: its checksum.
func IsSealed(document *yaml.Node) bool {
	mac := field(field(document, "sops"), "mac")
	return mac != nil && secret.Sealed(mac.Value)
}

// holdsSealed says whether a document has an encrypted value, or none at all.
func holdsSealed(document *yaml.Node) bool {
	values, sealed := false, false
	eachValue(document, nil, func(keys []string, value *yaml.Node) {
		if keys[0] != "sops" {
			values, sealed = true, sealed || secret.Sealed(value.Value)
		}
	})
	return sealed || !values
}

// plainValues finds the values in the encrypted documents of a file of SOPS that are not
// encrypted, though they would be: those that the metadata says, and those of a Secret.
func plainValues(y *source.YAML) []finding.Finding {
	var found []finding.Finding
	for _, document := range y.Documents {
		if !IsSealed(document) {
			continue // the whole document is a finding
		}
		chosen := choice(document)
		kind := field(document, "kind")
		manifest := kind != nil && kind.Value == "Secret"
		eachValue(document, nil, func(keys []string, value *yaml.Node) {
			ofSecret := manifest && (keys[0] == "data" || keys[0] == "stringData")
			if keys[0] != "sops" && !secret.Sealed(value.Value) && (chosen(keys) || ofSecret) {
				found = append(found, veiled(RulePlainValue, y.Position(value), fixPlainValue, "%s is not encrypted", strings.Join(keys, ".")))
			}
		})
	}
	return found
}

// choice returns which values SOPS encrypts in a document, by the keys that lead to
// them, as its metadata says (sops.Tree.Encrypt).
func choice(document *yaml.Node) func(keys []string) bool {
	metadata := field(document, "sops")
	for _, name := range []string{"encrypted_regex", "unencrypted_regex", "encrypted_suffix", "unencrypted_suffix"} {
		n := field(metadata, name)
		if n == nil || n.Value == "" {
			continue
		}
		matches := func(key string) bool { return strings.HasSuffix(key, n.Value) }
		if strings.HasSuffix(name, "_regex") {
			expression, err := regexp.Compile(n.Value)
			if err != nil {
				return func([]string) bool { return true } // SOPS refuses it: nothing says what may be plain
			}
			matches = expression.MatchString
		}
		inverted := strings.HasPrefix(name, "un")
		return func(keys []string) bool { return slices.ContainsFunc(keys, matches) != inverted }
	}
	return func(keys []string) bool {
		return !slices.ContainsFunc(keys, func(key string) bool { return strings.HasSuffix(key, "_unencrypted") })
	}
}

// sealedLines looks at a list of variables or an INI file.
func sealedLines(name string, data []byte) []finding.Finding {
	file, err := secret.ParseFile(name, data)
	switch {
	case len(strings.TrimSpace(string(data))) == 0:
		return nil
	case errors.Is(err, secret.ErrNotEncrypted):
		return []finding.Finding{veiled(RuleUnencrypted, finding.Position{File: name}, fixUnencrypted, "SOPS has not encrypted this file")}
	case err != nil:
		return []finding.Finding{unreadable(name)}
	}
	var found []finding.Finding
	section, n := "", 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if inner, ok := strings.CutPrefix(line, "["); ok && strings.HasSuffix(inner, "]") {
			section = strings.TrimSuffix(inner, "]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), "\"'`")
		metadata := section == "sops" || section == "" && strings.HasPrefix(key, "sops_")
		if !ok || value == "" || metadata || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") || secret.Sealed(value) {
			continue
		}
		keys := []string{key}
		if section != "" {
			keys = []string{section, key}
		}
		if file.Encrypts(keys) {
			found = append(found, veiled(RulePlainValue, finding.Position{File: name, Line: n, Column: 1}, fixPlainValue, "this is not encrypted"))
		}
	}
	return found
}

// field returns a value of a mapping; nil when there is none.
func field(n *yaml.Node, name string) *yaml.Node {
	if n = follow(n); n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return follow(n.Content[i+1])
		}
	}
	return nil
}

// follow returns what an alias stands for. source refuses aliases that contain themselves.
func follow(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// isEmpty says that a scalar holds nothing that could be encrypted.
func isEmpty(n *yaml.Node) bool { return n.Value == "" || n.ShortTag() == "!!null" }

// eachValue calls see with each scalar of a document that holds something, and the keys
// that lead to it; lists add none.
func eachValue(n *yaml.Node, keys []string, see func(keys []string, value *yaml.Node)) {
	switch n = follow(n); n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			eachValue(n.Content[i+1], append(slices.Clip(keys), n.Content[i].Value), see)
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			eachValue(c, keys, see)
		}
	case yaml.ScalarNode:
		if len(keys) > 0 && !isEmpty(n) {
			see(keys, n)
		}
	}
}
