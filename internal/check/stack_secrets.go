package check

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/guard"
	"archipel/internal/source"

	"go.yaml.in/yaml/v3"
)

// sealedFiles returns the files that SOPS should have encrypted, as their names say.
func (f *Fleet) sealedFiles() []string {
	return slices.DeleteFunc(slices.Clone(f.Files), func(name string) bool { return !sealed(name) || strings.HasPrefix(path.Base(name), ".sops.") })
}

// sealedFindings returns what guard finds of one rule in the files that SOPS should have
// encrypted.
func (f *Fleet) sealedFindings(rule string) []finding.Finding {
	type key struct{}
	all := once(f, key{}, func() []finding.Finding {
		var found []finding.Finding
		for _, name := range f.sealedFiles() {
			var y *source.YAML
			if ext := path.Ext(name); ext == ".yaml" || ext == ".yml" {
				if y = f.Parsed(name); y == nil {
					continue // reported already
				}
			}
			if data, err := f.Read(name); err == nil {
				found = append(found, guard.Sealed(name, data, y)...)
			}
		}
		return found
	})
	return slices.DeleteFunc(slices.Clone(all), func(one finding.Finding) bool { return one.Rule != rule })
}

// sopsConfig is a .sops.yaml: which keys open which files.
type sopsConfig struct {
	file  *source.YAML
	rules []sopsRule
}

// sopsRule is one entry of its creation_rules.
type sopsRule struct {
	node       *yaml.Node
	path       *regexp.Regexp // nil for any
	encrypted  string         // encrypted_regex
	recipients []string       // of age, sorted; nil when they are not all of age
}

// sopsConfig returns the repository's .sops.yaml, nil when there is none to be read.
func (f *Fleet) sopsConfig() *sopsConfig {
	type key struct{}
	return once(f, key{}, func() *sopsConfig {
		y := f.Parsed(".sops.yaml")
		if y == nil || len(y.Documents) == 0 {
			return nil
		}
		c := &sopsConfig{file: y}
		_, rules := lookup(y.Documents[0], "creation_rules")
		if rules == nil || rules.Kind != yaml.SequenceNode {
			return c
		}
		for _, n := range rules.Content {
			n = follow(n)
			r := sopsRule{node: n}
			if _, expression := lookup(n, "path_regex"); expression != nil {
				var err error
				if r.path, err = regexp.Compile(expression.Value); err != nil {
					continue // SOPS refuses it
				}
			}
			if _, expression := lookup(n, "encrypted_regex"); expression != nil {
				r.encrypted = expression.Value
			}
			if _, age := lookup(n, "age"); age != nil {
				r.recipients = recipientsIn(age)
			}
			if _, groups := lookup(n, "key_groups", "0", "age"); groups != nil {
				r.recipients = append(r.recipients, recipientsIn(groups)...)
			}
			slices.Sort(r.recipients)
			r.recipients = slices.Compact(r.recipients)
			c.rules = append(c.rules, r)
		}
		return c
	})
}

// rule returns the first entry for a file, as SOPS does; the path is relative to .sops.yaml.
func (c *sopsConfig) rule(file string) *sopsRule {
	if c == nil {
		return nil
	}
	for i := range c.rules {
		if c.rules[i].path == nil || c.rules[i].path.MatchString(file) {
			return &c.rules[i]
		}
	}
	return nil
}

// recipientsIn returns age recipients: one text with commas, or a list.
func recipientsIn(n *yaml.Node) []string {
	var found []string
	add := func(text string) {
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				found = append(found, part)
			}
		}
	}
	switch n = follow(n); n.Kind {
	case yaml.ScalarNode:
		add(n.Value)
	case yaml.SequenceNode:
		for _, c := range n.Content {
			add(follow(c).Value)
		}
	}
	return found
}

// recipientsOf returns the age recipients that a sealed document was encrypted for, sorted.
func recipientsOf(document *yaml.Node) []string {
	var found []string
	if _, entries := lookup(document, "sops", "age"); entries != nil {
		for _, entry := range entries.Content {
			if _, recipient := lookup(entry, "recipient"); recipient != nil {
				found = append(found, recipient.Value)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// veiled marks findings whose place may hold a secret.
func veiled(f finding.Finding) finding.Finding {
	f.Secret = true
	return f
}

// sealedExample is a manifest as SOPS leaves it; what is encrypted cannot be opened by anybody.
func sealedExample(value string) string {
	return `
apiVersion: v1
kind: Secret
metadata:
  name: example
  namespace: flux-system
stringData:
  token: ` + value + `
sops:
  age:
    - recipient: ` + recipientExample + `
      enc: example
  encrypted_regex: ^(data|stringData)$
  lastmodified: "2026-01-01T00:00:00Z"
  mac: ENC[AES256_GCM,data:ZXhhbXBsZQ==,iv:ZXhhbXBsZQ==,tag:ZXhhbXBsZQ==,type:str]
  version: 3.13.3
`
}

const (
	encryptedExample = "ENC[AES256_GCM,data:ZXhhbXBsZQ==,iv:ZXhhbXBsZQ==,tag:ZXhhbXBsZQ==,type:str]"
	recipientExample = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqexample"
	sealedFile       = "kubernetes/flux/clusters/site-a/secrets/example.sops.yaml"
)

// sopsConfigExample is an example: a .sops.yaml for Flux's files.
func sopsConfigExample(recipient, encrypted string) string {
	return overlay(".sops.yaml", `
creation_rules:
  - path_regex: ^kubernetes/flux/.*\.sops\.yaml$
    encrypted_regex: `+encrypted+`
    age: `+recipient+`
`)
}
