package schema

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"sync"

	"archipel/internal/fleet"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// maxValuesSchema is ten times the largest schema that is known of a public chart.
const maxValuesSchema = 8 << 20

// valuesSchema is the schema of a chart, compiled once, and what it said of values.
type valuesSchema struct {
	document any
	compiled *jsonschema.Schema // nil when it cannot be used
	problems []Problem          // with the schema itself

	mu       sync.Mutex
	verdicts map[digest][]Problem
}

// Values returns what a chart's values.schema.json refuses of values, which must be those
// that Helm hands to the chart: its own defaults merged in. The messages show no value,
// because values may hold secrets. Parts of a schema that lie in the network or in other
// files are left out, and a problem says so.
func (s *Store) Values(schema []byte, values map[string]any) []Problem {
	v := s.valuesSchema(schema)
	if v.compiled == nil {
		return slices.Clone(v.problems)
	}
	sum := s.digests.sum(values)
	v.mu.Lock()
	verdict, ok := v.verdicts[sum]
	v.mu.Unlock()
	if !ok {
		verdict = v.check(values)
		v.mu.Lock()
		v.verdicts[sum] = verdict
		v.mu.Unlock()
	}
	return slices.Concat(v.problems, verdict)
}

func (s *Store) valuesSchema(schema []byte) *valuesSchema {
	sum := s.digests.text('v', string(schema))
	s.mu.Lock()
	load, ok := s.values[sum]
	if !ok {
		load = sync.OnceValue(func() *valuesSchema { return readValuesSchema(schema) })
		s.values[sum] = load
	}
	s.mu.Unlock()
	return load()
}

const valuesSchemaURL = "file:///values.schema.json" // as Helm names it

func readValuesSchema(schema []byte) *valuesSchema {
	v := &valuesSchema{verdicts: map[digest][]Problem{}}
	unusable := func(err error) *valuesSchema {
		v.problems = append(v.problems, Problem{Kind: ValuesSchemaInvalid, Message: oneLine(fmt.Sprintf("the chart's values.schema.json cannot be used: %v", err))})
		return v
	}
	if len(schema) > maxValuesSchema {
		return unusable(fmt.Errorf("it is larger than %d bytes", maxValuesSchema))
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(bytes.TrimPrefix(schema, []byte("\ufeff"))))
	if err != nil {
		return unusable(err)
	}
	remote := map[string]bool{}
	cutRemote(document, remote, 0)
	for _, reference := range sortedKeys(remote) {
		v.problems = append(v.problems, Problem{
			Kind:    ValuesSchemaPartial,
			Message: oneLine(fmt.Sprintf("a part of the chart's values.schema.json lies at %s: what it asks for is not checked", quoted(reference))),
		})
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(nowhere{})
	if err := compiler.AddResource(valuesSchemaURL, document); err != nil {
		return unusable(err)
	}
	if v.compiled, err = compiler.Compile(valuesSchemaURL); err != nil {
		return unusable(err)
	}
	v.document = document
	return v
}

// cutRemote removes the references that lead out of a schema.
func cutRemote(value any, found map[string]bool, depth int) {
	if depth > 2*maxDepth {
		return
	}
	switch v := value.(type) {
	case map[string]any:
		for _, keyword := range []string{"$ref", "$dynamicRef", "$recursiveRef"} {
			if reference, ok := v[keyword].(string); ok && !strings.HasPrefix(reference, "#") && leadsOut(reference) {
				found[reference] = true
				delete(v, keyword)
			}
		}
		for _, each := range v {
			cutRemote(each, found, depth+1)
		}
	case []any:
		for _, each := range v {
			cutRemote(each, found, depth+1)
		}
	}
}

// leadsOut tells references to other documents from those to the dialects, which are built in.
func leadsOut(reference string) bool {
	return !strings.HasPrefix(reference, "http://json-schema.org/") && !strings.HasPrefix(reference, "https://json-schema.org/")
}

// nowhere loads nothing: a schema reaches neither the network nor the disk.
type nowhere struct{}

func (nowhere) Load(string) (any, error) { return nil, errors.New("it lies elsewhere") }

func (v *valuesSchema) check(values map[string]any) []Problem {
	err := v.compiled.Validate(plain(values))
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	problems := wording{v.document}.words(invalid, 0)
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(comparePaths(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	problems = slices.CompactFunc(problems, func(a, b Problem) bool { return a.Message == b.Message && slices.Equal(a.Path, b.Path) })
	return problems[:min(len(problems), maxProblems)]
}

// wording says in words what a schema refuses of values.
type wording struct {
	document any // the schema
}

// words turns the tree of an error into sentences: its leaves, and the branches where one
// of several forms would have done.
func (v wording) words(e *jsonschema.ValidationError, depth int) []Problem {
	if depth > maxDepth {
		return nil
	}
	path := e.InstanceLocation
	place := "values"
	if len(path) > 0 {
		place = dotted(path)
	}
	say := func(format string, args ...any) []Problem {
		return []Problem{{Kind: ValuesInvalid, Path: path, Message: oneLine(place + " " + fmt.Sprintf(format, args...))}}
	}
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf:
		return v.forms(e, say, depth)
	case *kind.OneOf:
		if len(k.Subschemas) > 0 {
			return say("fits more than one of the forms that exclude each other")
		}
		return v.forms(e, say, depth)
	case *kind.AdditionalProperties:
		return v.unknownValues(e, k.Properties)
	case *kind.Required:
		return say("lacks %s", strings.Join(k.Missing, ", "))
	case *kind.DependentRequired:
		return say("has %s and lacks %s", k.Prop, strings.Join(k.Missing, ", "))
	case *kind.Dependency:
		return say("has %s and lacks %s", k.Prop, strings.Join(k.Missing, ", "))
	case *kind.PropertyNames:
		// The library shares this path with what it looks at later: it is not to be trusted.
		return []Problem{{Kind: ValuesInvalid, Message: oneLine(quoted(k.Property) + " is a name that the chart does not allow")}}
	}
	if len(e.Causes) > 0 {
		var problems []Problem
		for _, cause := range e.Causes {
			problems = append(problems, v.words(cause, depth+1)...)
		}
		return problems
	}
	return say("%s", leaf(e.ErrorKind))
}

// forms says what keeps values from fitting any of several forms.
func (v wording) forms(e *jsonschema.ValidationError, say func(string, ...any) []Problem, depth int) []Problem {
	var reasons []string
	for _, cause := range e.Causes {
		if problems := v.words(cause, depth+1); len(problems) > 0 && !slices.Contains(reasons, problems[0].Message) {
			reasons = append(reasons, problems[0].Message)
		}
	}
	return say("fits none of the allowed forms: %s", strings.Join(reasons, "; or "))
}

// unknownValues notes fields that the schema does not allow, each where it stands.
func (v wording) unknownValues(e *jsonschema.ValidationError, names []string) []Problem {
	known := v.propertiesAt(e.SchemaURL)
	var problems []Problem
	for _, name := range names {
		path := append(slices.Clone(e.InstanceLocation), name)
		fix := "remove it"
		if near, ok := fleet.Nearest(name, known); ok {
			fix = "write " + near
		}
		problems = append(problems, Problem{
			Kind: ValuesInvalid, Path: path, Fix: fix, Message: oneLine("the chart has no value " + dotted(path)),
		})
	}
	return problems
}

// propertiesAt are the names that a part of the schema knows.
func (v wording) propertiesAt(location string) []string {
	_, fragment, _ := strings.Cut(location, "#")
	at := v.document
	for part := range strings.SplitSeq(strings.TrimPrefix(fragment, "/"), "/") {
		if part == "" {
			continue
		}
		name, err := url.PathUnescape(part)
		if err != nil {
			return nil
		}
		at = childOf(at, strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
	}
	object, _ := at.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	return sortedKeys(properties)
}

// leaf says what one keyword of a schema asks for, without the value.
func leaf(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return "must be " + typesInWords(k.Want)
	case *kind.Enum:
		return "must be one of " + listed(k.Want)
	case *kind.Const:
		return "must be " + listed([]any{k.Want})
	case *kind.Format:
		return "must have the format " + k.Want
	case *kind.Pattern:
		return "must match " + k.Want
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d entries", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d entries", k.Want)
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %d entries too many", k.Count)
	case *kind.UniqueItems:
		return fmt.Sprintf("has the same entry twice, at %d and %d", k.Duplicates[0], k.Duplicates[1])
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %d fields", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %d fields", k.Want)
	case *kind.Minimum:
		return "must be at least " + rational(k.Want)
	case *kind.Maximum:
		return "must be at most " + rational(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be more than " + rational(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + rational(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + rational(k.Want)
	case *kind.FalseSchema:
		return "is not allowed"
	case *kind.Not:
		return "has a form that is forbidden"
	case *kind.Contains, *kind.MinContains:
		return "lacks an entry that the chart needs"
	case *kind.MaxContains:
		return "has too many entries of a form"
	}
	if words := k.KeywordPath(); len(words) > 0 {
		return "breaks what the chart's schema says under " + words[0]
	}
	return "breaks the chart's schema"
}

func rational(r *big.Rat) string {
	f, _ := r.Float64()
	return decimal(f)
}

func typesInWords(names []string) string {
	var words []string
	for _, name := range names {
		switch name {
		case "array":
			name = "a list"
		case "integer", "object":
			name = "an " + name
		case "null":
		default:
			name = "a " + name
		}
		words = append(words, name)
	}
	return strings.Join(words, " or ")
}

func listed(values []any) string {
	var texts []string
	for _, value := range values {
		if s, ok := value.(string); ok && s != "" {
			texts = append(texts, s)
			continue
		}
		texts = append(texts, canonical(value))
	}
	return strings.Join(texts, ", ")
}
