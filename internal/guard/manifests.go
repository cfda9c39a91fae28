package guard

import (
	"bytes"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
	"archipel/internal/secret"
	"archipel/internal/source"
)

const fixManifest = "move it to a file whose name ends in .sops.yaml, run archipel secret encrypt on it, and replace the value if it was ever pushed"

// manifests looks for Secrets in a file that could hold manifests, or be made into them.
func manifests(name string, data []byte) []finding.Finding {
	switch strings.ToLower(path.Ext(name)) {
	case ".yaml", ".yml", ".json", ".tpl", ".tmpl", ".j2":
	default:
		return nil
	}
	// Parsing is what costs time here.
	has := func(text string) bool { return bytes.Contains(data, []byte(text)) }
	if !has("Secret") && !has("secretGenerator") || !has("data") && !has("Data") && !has("literals") {
		return nil
	}
	if len(data) <= source.MaxSize {
		if y, _ := source.ParseYAML(name, data); y != nil {
			return PlainSecrets(y)
		}
	}
	return plainLines(name, data)
}

// PlainSecrets finds the values of Secrets in a file of manifests that stand there in
// plaintext, however deep, and those from which kustomize would make a Secret.
func PlainSecrets(y *source.YAML) []finding.Finding {
	var found []finding.Finding
	add := func(value *yaml.Node, what string) {
		found = append(found, veiled(RulePlainSecret, y.Position(value), fixManifest, "%s of this Secret is in plain text", what))
	}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		n = follow(n)
		if n.Kind == yaml.MappingNode {
			plainManifest(n, add)
			plainGenerators(n, add)
		}
		for _, c := range n.Content {
			if c.Kind != yaml.AliasNode { // what it stands for is looked at where it is written
				walk(c)
			}
		}
	}
	for _, document := range y.Documents {
		if !IsSealed(document) { // the rules for files of SOPS are for the others
			walk(document)
		}
	}
	return found
}

func plainManifest(n *yaml.Node, add func(value *yaml.Node, what string)) {
	kind, version := field(n, "kind"), field(n, "apiVersion")
	if kind == nil || kind.Value != "Secret" || version != nil && version.Value != "v1" {
		return
	}
	for _, name := range []string{"data", "stringData"} {
		values := field(n, name)
		if values == nil {
			continue
		}
		eachValue(values, []string{name}, func(keys []string, value *yaml.Node) {
			if isPlain(value.Value) {
				add(value, strings.Join(keys, "."))
			}
		})
	}
}

func plainGenerators(n *yaml.Node, add func(value *yaml.Node, what string)) {
	generators := field(n, "secretGenerator")
	if generators == nil || generators.Kind != yaml.SequenceNode {
		return
	}
	for _, generator := range generators.Content {
		literals := field(generator, "literals")
		if literals == nil || literals.Kind != yaml.SequenceNode {
			continue
		}
		for _, literal := range literals.Content {
			literal = follow(literal)
			if _, value, ok := strings.Cut(literal.Value, "="); ok && isPlain(value) {
				add(literal, "a literal")
			}
		}
	}
}

// filled matches what something else fills in: a variable of Flux without a default, an
// action of a template.
var filled = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*(:?[-=])?\}|\{\{[^{}]*\}\}`)

// isPlain says whether a value holds anything that is neither encrypted nor filled in.
func isPlain(value string) bool {
	return !secret.Sealed(value) && strings.Trim(filled.ReplaceAllString(value, ""), " \t\r\n\"'") != ""
}

var (
	secretLine = regexp.MustCompile(`^[ -]*["']?kind["']?: *["']?Secret["']?,?\s*(#.*)?$`)
	blockLine  = regexp.MustCompile(`^([ -]*)["']?(data|stringData)["']?:\s*(.*)$`)
	valueLine  = regexp.MustCompile(`^ *["']?([A-Za-z0-9._-]+)["']?:(?:\s+(.*))?$`)
)

// plainLines looks for Secrets in what is no YAML yet: the templates of charts and of
// Ansible. It names no key of a value of several lines, which may be a part of the value.
func plainLines(name string, data []byte) []finding.Finding {
	var found, document []finding.Finding
	isSecret, n := false, 0
	block, key := "", ""        // data or stringData, and the key in it
	outer, inner := 0, 0        // their indents
	plain := func(column int) { // in the document, which may turn out to be a Secret further down
		what := strings.TrimSuffix(block+"."+key, ".")
		document = append(document, veiled(RulePlainSecret, finding.Position{File: name, Line: n, Column: column}, fixManifest, "%s of this Secret is in plain text", what))
	}
	end := func() {
		if isSecret {
			found = append(found, document...)
		}
		isSecret, block, document = false, "", nil
	}
	for line := range bytes.Lines(data) {
		n++
		text := strings.TrimRight(string(line), " \t\r\n")
		trimmed := strings.TrimLeft(text, " ")
		indent := len(text) - len(trimmed)
		switch {
		case strings.HasPrefix(text, "---"):
			end()
			continue
		case trimmed == "" || trimmed[0] == '#' || strings.HasPrefix(trimmed, "{{") && !isPlain(trimmed):
			continue
		case block != "" && indent > outer:
			value := trimmed
			if inner == 0 {
				inner = indent
			}
			if m := valueLine.FindStringSubmatch(text); m != nil && indent <= inner {
				key, value = m[1], strings.TrimRight(m[2], "|>-+")
			}
			if isPlain(value) {
				plain(indent + 1)
			}
			continue
		}
		isSecret = isSecret || secretLine.MatchString(text)
		block, key, inner = "", "", 0
		if m := blockLine.FindStringSubmatch(text); m != nil {
			block, outer = m[2], len(m[1])
			if rest := m[3]; strings.Trim(rest, "{} ") != "" && isPlain(rest) && rest[0] != '#' {
				plain(indent + 1)
			}
		}
	}
	end()
	return found
}
