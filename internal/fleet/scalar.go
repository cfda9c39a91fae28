package fleet

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kind is the type that Ansible gives a value.
type kind string

const (
	isNull      kind = "empty"
	isBool      kind = "a boolean"
	isInt       kind = "a whole number"
	isFloat     kind = "a number with a fraction"
	isDate      kind = "a date"
	isString    kind = "text"
	isList      kind = "a list"
	isMapping   kind = "a mapping"
	isEncrypted kind = "encrypted"
	isUnknown   kind = "of an unknown type"
)

// target follows an alias to the node that it stands for.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// kindOf returns the type of a value as Ansible reads it. Ansible reads YAML
// 1.1 with PyYAML, whose rules for plain scalars differ from those of YAML 1.2
// and of every Go library: yes is a boolean and 12:30 a number.
func (r *resolver) kindOf(n *yaml.Node) kind {
	n = target(n)
	switch n.Kind {
	case yaml.SequenceNode:
		return isList
	case yaml.MappingNode:
		return isMapping
	}
	if n.Style&yaml.TaggedStyle != 0 {
		switch n.ShortTag() {
		case "!!str", "!":
			return isString
		case "!vault", "!vault-encrypted":
			return isEncrypted
		case "!unsafe":
			return r.plain(n.Value)
		case "!!bool", "!!int", "!!float", "!!null", "!!timestamp":
			return r.plain(n.Value)
		}
		return isUnknown
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return isString
	}
	return r.plain(n.Value)
}

// resolver tells the types of plain scalars, with the patterns of PyYAML's
// yaml/resolver.py.
type resolver struct{ boolean, integer, float, null, date *regexp.Regexp }

func newResolver() *resolver {
	return &resolver{
		boolean: regexp.MustCompile(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`),
		integer: regexp.MustCompile(`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`),
		float: regexp.MustCompile(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?` +
			`|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`),
		null: regexp.MustCompile(`^(?:~|null|Null|NULL|)$`),
		date: regexp.MustCompile(`^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}` +
			`|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)$`),
	}
}

func (r *resolver) plain(s string) kind {
	switch {
	case r.null.MatchString(s):
		return isNull
	case r.boolean.MatchString(s):
		return isBool
	case r.float.MatchString(s):
		return isFloat
	case r.integer.MatchString(s):
		return isInt
	case r.date.MatchString(s):
		return isDate
	}
	return isString
}

// integer returns the number that Ansible makes of a scalar of kind isInt, as
// construct_yaml_int of PyYAML does.
func integer(s string) (int, bool) {
	s = strings.ReplaceAll(s, "_", "")
	sign, digits := "", s
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		sign, digits = strings.TrimPrefix(digits[:1], "+"), digits[1:]
	}
	if strings.Contains(digits, ":") {
		total := new(big.Int)
		for part := range strings.SplitSeq(digits, ":") {
			d, err := strconv.ParseInt(part, 10, 64)
			if err != nil {
				return 0, false
			}
			total.Add(total.Mul(total, big.NewInt(60)), big.NewInt(d))
			if total.BitLen() > 63 {
				return 0, false
			}
		}
		digits = total.String()
	}
	base := 10
	switch {
	case strings.HasPrefix(digits, "0b"):
		base, digits = 2, digits[2:]
	case strings.HasPrefix(digits, "0x"):
		base, digits = 16, digits[2:]
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	n, err := strconv.ParseInt(sign+digits, base, 64)
	if err != nil || n > math.MaxInt32 || n < math.MinInt32 {
		return 0, false
	}
	return int(n), true
}

// templated reports whether Ansible computes a text with Jinja.
func templated(s string) bool {
	return strings.Contains(s, "{{") || strings.Contains(s, "{%") || strings.Contains(s, "{#")
}

// pair is one entry of a mapping.
type pair struct{ key, node *yaml.Node }

// pairs returns a mapping's entries as PyYAML constructs them: merge keys
// resolved, and of a duplicate key the first place and the last value.
func pairs(n *yaml.Node) []pair {
	var entries []pair
	place := map[string]int{}
	put := func(p pair) {
		id := p.key.ShortTag() + " " + p.key.Value
		if i, ok := place[id]; ok && p.key.Kind == yaml.ScalarNode {
			entries[i].node = p.node
			return
		}
		place[id] = len(entries)
		entries = append(entries, p)
	}
	n = target(n)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		from := target(n.Content[i+1])
		switch from.Kind {
		case yaml.MappingNode:
			for _, p := range pairs(from) {
				put(p)
			}
		case yaml.SequenceNode: // the first of the list wins
			for j := len(from.Content) - 1; j >= 0; j-- {
				if m := target(from.Content[j]); m.Kind == yaml.MappingNode {
					for _, p := range pairs(m) {
						put(p)
					}
				}
			}
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			put(pair{target(n.Content[i]), n.Content[i+1]})
		}
	}
	return entries
}
