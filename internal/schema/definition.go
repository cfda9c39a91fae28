package schema

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/version"
)

// definition is a CustomResourceDefinition.
type definition struct {
	digest      digest
	group, kind string
	scope       Scope
	versions    map[string]*definedVersion
	problems    []Problem
}

// definedVersion is one version of a definition.
type definedVersion struct {
	served bool
	status bool // a subresource
	lazy   *lazy
	rules  *rules // nil when the schema has none
}

// served are the names of the versions that are served, the best first.
func (d *definition) served() []string {
	var names []string
	for name, v := range d.versions {
		if v.served {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(version.CompareKubeAwareVersionStrings(b, a), strings.Compare(a, b))
	})
	return names
}

// readDefinition reads a definition as far as it goes: schemas are read when an object of
// their kind is checked.
func readDefinition(object map[string]any, sum digest) *definition {
	d := &definition{digest: sum, versions: map[string]*definedVersion{}}
	spec, _ := object["spec"].(map[string]any)
	kinds, _ := spec["names"].(map[string]any)
	d.group, d.kind = text(spec["group"]), text(kinds["kind"])
	d.scope = Namespaced
	if text(spec["scope"]) == "Cluster" {
		d.scope = Cluster
	}
	if text(object["apiVersion"]) != "apiextensions.k8s.io/v1" {
		d.invalid([]string{"apiVersion"}, "the definition of %s is of a version that no API server takes any more", d.kind)
	}
	if d.group == "" || d.kind == "" {
		d.invalid([]string{"spec"}, "the definition lacks spec.group or spec.names.kind")
		return d
	}
	list, _ := spec["versions"].([]any)
	for i, entry := range list {
		v, _ := entry.(map[string]any)
		name := text(v["name"])
		if name == "" {
			continue // a missing field of the definition as an object
		}
		served, _ := v["served"].(bool)
		subresources, _ := v["subresources"].(map[string]any)
		_, status := subresources["status"]
		holder, _ := v["schema"].(map[string]any)
		raw, _ := holder["openAPIV3Schema"].(map[string]any)
		if raw == nil {
			d.invalid([]string{"spec", "versions", fmt.Sprint(i)}, "version %s of %s has no schema", name, d.kind)
			raw = map[string]any{"x-kubernetes-preserve-unknown-fields": true}
		}
		open, _ := spec["preserveUnknownFields"].(bool)
		one := &definedVersion{served: served, status: status, lazy: &lazy{name: d.kind, decode: func() *node {
			n := readSchema(raw, schemaPlace{open: open})
			if metadata := n.fields["metadata"]; metadata != nil {
				metadata.open = true // of which the schema may limit the name only
			}
			return n
		}}}
		if hasRules(raw, 0) {
			one.rules = newRules(raw)
		}
		d.versions[name] = one
	}
	if len(d.versions) == 0 {
		d.invalid([]string{"spec"}, "the definition of %s has no version", d.kind)
	}
	return d
}

func (d *definition) invalid(path []string, format string, args ...any) {
	d.problems = append(d.problems, Problem{Kind: DefinitionInvalid, Path: path, Message: oneLine(fmt.Sprintf(format, args...))})
}

// schemaPlace is where in a definition's schema something stands.
type schemaPlace struct {
	depth       int
	open        bool // preserveUnknownFields of the whole definition
	alternative bool // inside allOf, anyOf, oneOf or not
}

func (p schemaPlace) below() schemaPlace { p.depth++; return p }
func (p schemaPlace) inside() schemaPlace {
	p.depth++
	p.alternative = true
	return p
}

// readSchema reads a schema of a definition. What it does not understand it takes for
// no limit: whether the definition itself is right is not its business.
func readSchema(raw map[string]any, place schemaPlace) *node {
	n := &node{open: place.open, alternative: place.alternative}
	if place.depth > maxDepth {
		n.open = true
		return n
	}
	n.types = map[string]types{
		"string": stringType, "integer": integerType, "number": numberType,
		"boolean": booleanType, "object": objectType, "array": arrayType,
	}[text(raw["type"])]
	if yes(raw["x-kubernetes-int-or-string"]) {
		n.types = integerType | stringType
	}
	n.format = text(raw["format"])
	n.nullable = yes(raw["nullable"])
	n.standard = raw["default"]
	n.embedded = yes(raw["x-kubernetes-embedded-resource"])
	n.open = n.open || yes(raw["x-kubernetes-preserve-unknown-fields"])
	n.set = text(raw["x-kubernetes-list-type"]) == "set"
	n.keys = textsOf(raw["x-kubernetes-list-map-keys"])
	n.required = textsOf(raw["required"])
	n.enum, _ = raw["enum"].([]any)
	n.limits = readLimits(raw)
	if properties, ok := raw["properties"].(map[string]any); ok {
		n.fields = make(map[string]*node, len(properties))
		for name, property := range properties {
			if each, ok := property.(map[string]any); ok {
				n.fields[name] = readSchema(each, place.below())
			}
		}
	}
	switch additional := raw["additionalProperties"].(type) {
	case map[string]any:
		n.extra = readSchema(additional, place.below())
	case bool:
		n.open = n.open || additional
	}
	if items, ok := raw["items"].(map[string]any); ok {
		n.items = readSchema(items, place.below())
	}
	n.all = readSchemas(raw["allOf"], place)
	n.some = readSchemas(raw["anyOf"], place)
	n.one = readSchemas(raw["oneOf"], place)
	if not, ok := raw["not"].(map[string]any); ok {
		n.not = readSchema(not, place.inside())
	}
	return n
}

func readSchemas(value any, place schemaPlace) []*node {
	list, _ := value.([]any)
	var nodes []*node
	for _, each := range list {
		if raw, ok := each.(map[string]any); ok {
			nodes = append(nodes, readSchema(raw, place.inside()))
		}
	}
	return nodes
}

func readLimits(raw map[string]any) *limits {
	l := limits{
		minimum: floatOf(raw["minimum"]), maximum: floatOf(raw["maximum"]),
		aboveMinimum: yes(raw["exclusiveMinimum"]), belowMaximum: yes(raw["exclusiveMaximum"]),
		minLength: countOf(raw["minLength"]), maxLength: countOf(raw["maxLength"]),
		minItems: countOf(raw["minItems"]), maxItems: countOf(raw["maxItems"]),
		minProperties: countOf(raw["minProperties"]), maxProperties: countOf(raw["maxProperties"]),
	}
	if multiple := floatOf(raw["multipleOf"]); multiple != nil {
		l.multiple = *multiple
	}
	if pattern := text(raw["pattern"]); pattern != "" {
		l.pattern, _ = regexp.Compile(pattern)
	}
	if l == (limits{}) {
		return nil
	}
	return &l
}

// hasRules says whether CEL rules stand anywhere in a schema.
func hasRules(value any, depth int) bool {
	if depth > 2*maxDepth {
		return false
	}
	switch v := value.(type) {
	case map[string]any:
		if list, ok := v["x-kubernetes-validations"].([]any); ok && len(list) > 0 {
			return true
		}
		for _, each := range v {
			if hasRules(each, depth+1) {
				return true
			}
		}
	case []any:
		for _, each := range v {
			if hasRules(each, depth+1) {
				return true
			}
		}
	}
	return false
}

func yes(value any) bool { is, _ := value.(bool); return is }

func textsOf(value any) []string {
	list, _ := value.([]any)
	var texts []string
	for _, each := range list {
		if s, ok := each.(string); ok {
			texts = append(texts, s)
		}
	}
	return texts
}

func floatOf(value any) *float64 {
	number, _, ok := numberOf(value)
	if !ok {
		return nil
	}
	return &number
}

func countOf(value any) *int64 {
	number, whole, ok := numberOf(value)
	if !ok || !whole {
		return nil
	}
	count := int64(number)
	return &count
}

// plain copies a value as the API server reads it from JSON, where 3.0 and 3 are the same.
func plain(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, each := range v {
			out[key] = plain(each)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, each := range v {
			out[i] = plain(each)
		}
		return out
	case string, bool, nil, int64:
		return v
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
	}
	if number, whole, ok := numberOf(value); ok {
		if whole && number >= math.MinInt64 && number < math.MaxInt64 {
			return int64(number)
		}
		return number
	}
	return nil
}
