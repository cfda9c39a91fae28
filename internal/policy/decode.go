package policy

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
	"archipel/internal/source"
)

// decoder turns the nodes of a file into a policy or a baseline. It takes what it
// understands and makes one finding of each thing that it does not.
type decoder struct {
	file     *source.YAML
	findings []finding.Finding
	rules    decoderRules
}

// decoderRules are the rules of what is wrong in a file.
type decoderRules struct{ key, value string }

// The keys of a mapping of fixed keys, with what takes their values.
type keys map[string]func(key, value *yaml.Node)

func (d *decoder) policy(p *Policy, root *yaml.Node) {
	d.mapping(root, "the policy", keys{
		"severities": func(_, n *yaml.Node) { p.Severities = d.severities(n) },
		"ignores":    func(_, n *yaml.Node) { p.Ignores = d.ignores(n) },
		"mirrors":    func(_, n *yaml.Node) { p.Mirrors = d.mirrors(n) },
		"fail-on": func(_, n *yaml.Node) {
			p.FailOn, _ = d.level(n, map[string]finding.Severity{"error": finding.Error, "warning": finding.Warning})
		},
	})
}

func (d *decoder) severities(n *yaml.Node) map[string]Severity {
	levels := map[string]finding.Severity{"error": finding.Error, "warning": finding.Warning, "off": 0}
	severities := map[string]Severity{}
	d.pairs(n, "severities", func(key, value *yaml.Node) {
		rule, ok := d.rule(key)
		if !ok {
			return
		}
		if level, ok := d.level(value, levels); ok {
			severities[rule] = Severity{Level: level, Position: d.file.Position(key)}
		}
	})
	return severities
}

func (d *decoder) ignores(n *yaml.Node) []Ignore {
	var ignores []Ignore
	for _, entry := range d.sequence(n, "ignores") {
		if ignore, ok := d.ignore(entry); ok {
			ignores = append(ignores, ignore)
		}
	}
	return ignores
}

// ignore takes an entry that is complete and right: one that is not would accept
// other findings than its author meant.
func (d *decoder) ignore(n *yaml.Node) (Ignore, bool) {
	ignore := Ignore{Position: d.file.Position(n)}
	before := len(d.findings)
	given := map[string]bool{}
	into := func(field *string, take func(*yaml.Node) (string, bool)) func(key, value *yaml.Node) {
		return func(key, value *yaml.Node) {
			*field, _ = take(value)
			given[key.Value] = true
		}
	}
	if !d.mapping(n, "an ignore", keys{
		"rule":   into(&ignore.Rule, d.rule),
		"path":   into(&ignore.Path, d.pattern),
		"site":   into(&ignore.Site, d.words),
		"reason": into(&ignore.Reason, d.words),
	}) {
		return Ignore{}, false
	}
	for _, key := range []string{"rule", "path"} {
		if !given[key] {
			d.invalid(n, "an ignore needs a "+key, "add "+key+": to it")
		}
	}
	if !given["reason"] {
		d.add("ignore-reason-missing", n, "an ignore needs a reason", "add reason: and why the finding is accepted here")
	}
	return ignore, len(d.findings) == before
}

func (d *decoder) mirrors(n *yaml.Node) map[string][]string {
	mirrors := map[string][]string{}
	d.pairs(n, "mirrors", func(key, value *yaml.Node) {
		host, ok := d.text(key)
		if !ok || host != "*" && !isHost(host) {
			d.add("mirror-invalid", key, fmt.Sprintf("%q is no host", key.Value), "write a host name as URLs have it, with :port where it has one, or \"*\"")
			return
		}
		for _, entry := range d.sequence(value, "the mirrors of a host") {
			if mirror, ok := d.mirror(entry); ok {
				mirrors[host] = append(mirrors[host], mirror)
			}
		}
	})
	return mirrors
}

// mirror does not quote what it refuses: a URL with credentials is one of them.
func (d *decoder) mirror(n *yaml.Node) (string, bool) {
	text, ok := d.text(n)
	if !ok {
		d.add("mirror-invalid", n, "a mirror is an https:// URL", "write it as text")
		return "", false
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" || !isHost(u.Host):
		d.add("mirror-invalid", n, "a mirror is an https:// URL with a host", "write https://host or https://host/path")
	case u.User != nil:
		d.add("mirror-invalid", n, "the URL of a mirror holds credentials, which everybody who reads the repository would have",
			"remove them; archipel takes credentials from the docker config")
		d.findings[len(d.findings)-1].Secret = true
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		d.add("mirror-invalid", n, "the URL of a mirror has a query or a fragment", "write https://host or https://host/path")
	default:
		return strings.TrimSuffix(text, "/"), true
	}
	return "", false
}

func isHost(host string) bool {
	return regexp.MustCompile(`^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)(:[0-9]{1,5})?$`).MatchString(host)
}

// rule takes the id of a rule. Whether there is such a rule is not known here.
func (d *decoder) rule(n *yaml.Node) (string, bool) {
	text, ok := d.text(n)
	if !ok || !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`).MatchString(text) {
		d.invalid(n, "this is no id of a rule", "write the id as findings show it in brackets")
		return "", false
	}
	return text, true
}

func (d *decoder) pattern(n *yaml.Node) (string, bool) {
	text, ok := d.text(n)
	if !ok || !validPattern(text) {
		d.invalid(n, "this is no pattern of paths", "write a path from the repository's root, with * within a name and ** for any number of folders")
		return "", false
	}
	return text, true
}

func (d *decoder) level(n *yaml.Node, levels map[string]finding.Severity) (finding.Severity, bool) {
	if text, ok := d.scalar(n); ok {
		if level, ok := levels[text]; ok {
			return level, true
		}
	}
	d.invalid(n, "this is no severity", "write "+either(levels))
	return 0, false
}

// text takes a scalar that YAML reads as text.
func (d *decoder) text(n *yaml.Node) (string, bool) {
	n = resolve(n)
	return n.Value, n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str"
}

// words takes text that says something.
func (d *decoder) words(n *yaml.Node) (string, bool) {
	text, ok := d.text(n)
	if !ok || strings.TrimSpace(text) == "" {
		d.invalid(n, "this is no text", "write it as text, in quotes where YAML would read something else")
		return "", false
	}
	return text, true
}

// scalar takes any scalar as written: YAML 1.1 readers take off for false.
func (d *decoder) scalar(n *yaml.Node) (string, bool) {
	n = resolve(n)
	return n.Value, n.Kind == yaml.ScalarNode
}

// mapping hands the values of a mapping of fixed keys to what takes them. It
// returns false when n is no mapping.
func (d *decoder) mapping(n *yaml.Node, what string, known keys) bool {
	return d.pairs(n, what, func(key, value *yaml.Node) {
		take, ok := known[key.Value]
		if !ok {
			d.add(d.rules.key, key, fmt.Sprintf("%s has no key %q", what, key.Value), "remove it, or write "+either(known))
			return
		}
		take(key, value)
	})
}

// pairs calls f for each key and value of a mapping. Nothing at all is an empty
// mapping.
func (d *decoder) pairs(n *yaml.Node, what string, f func(key, value *yaml.Node)) bool {
	n = resolve(n)
	if isNull(n) {
		return true
	}
	if n.Kind != yaml.MappingNode {
		d.invalid(n, what+" must be a mapping of keys to values", "write each entry as key: value")
		return false
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; !seen[key.Value] { // a duplicate is a finding of source
			seen[key.Value] = true
			f(key, n.Content[i+1])
		}
	}
	return true
}

// sequence returns the entries of a list. Nothing at all is an empty list.
func (d *decoder) sequence(n *yaml.Node, what string) []*yaml.Node {
	n = resolve(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.invalid(n, what+" must be a list", "write each entry on a line of its own that begins with a dash")
		return nil
	}
	return n.Content
}

func (d *decoder) invalid(n *yaml.Node, message, fix string) {
	d.add(d.rules.value, n, message, fix)
}

func (d *decoder) add(rule string, n *yaml.Node, message, fix string) {
	d.findings = append(d.findings, finding.Finding{
		Rule: rule, Severity: finding.Error, Position: d.file.Position(n), Message: message, Fix: fix,
	})
}

// resolve follows an alias. source has made sure that none contains itself.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// either lists the keys of a map: "a, b or c".
func either[V any](m map[string]V) string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
