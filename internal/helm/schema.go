package helm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
)

// schemas are the compiled values schemas of a chart and its subcharts.
type schemas struct {
	mu       sync.Mutex
	compiled map[string]*compiled // by the schema's text
}

type compiled struct {
	once   sync.Once
	schema *jsonschema.Schema
	err    error
}

// maxViolations bounds what one message tells.
const maxViolations = 5

// validate holds coalesced values to the schemas of the chart and of its enabled subcharts,
// as Helm's ValidateAgainstSchema does; the schema of a URL is not fetched.
func (s *schemas) validate(c *v2.Chart, values map[string]any) error {
	var problems []string
	var walk func(c *v2.Chart, values map[string]any, at []string)
	walk = func(c *v2.Chart, values map[string]any, at []string) {
		if c.Schema != nil {
			problems = append(problems, s.check(c.Schema, values, at)...)
		}
		for _, sub := range c.Dependencies() {
			switch own := values[sub.Name()].(type) {
			case nil:
			case map[string]any:
				walk(sub, own, append(slices.Clone(at), sub.Name()))
			default:
				problems = append(problems, strings.Join(append(at, sub.Name()), ".")+": want a map for the subchart")
			}
		}
	}
	walk(c, values, nil)
	if len(problems) == 0 {
		return nil
	}
	if more := len(problems) - maxViolations; more > 0 {
		problems = append(problems[:maxViolations], fmt.Sprintf("and %d more", more))
	}
	return &Error{Kind: BadValues, File: c.Name() + "/values.schema.json", Message: "the values do not fit the chart's schema: " + strings.Join(problems, "; ")}
}

// check returns what is wrong with the values of one chart, which stand at a path.
func (s *schemas) check(text []byte, values map[string]any, at []string) []string {
	s.mu.Lock()
	if s.compiled == nil {
		s.compiled = map[string]*compiled{}
	}
	one, ok := s.compiled[string(text)]
	if !ok {
		one = &compiled{}
		s.compiled[string(text)] = one
	}
	s.mu.Unlock()
	one.once.Do(func() { one.schema, one.err = compile(text) })
	if one.err != nil {
		return []string{"the schema itself cannot be used: " + oneLine(one.err.Error())}
	}
	err := one.schema.Validate(values)
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		var problems []string
		violations(invalid, at, message.NewPrinter(language.English), &problems)
		slices.Sort(problems)
		return slices.Compact(problems)
	}
	return []string{oneLine(err.Error())}
}

// violations collects the leaves of an error, without the values: they may be secret.
func violations(err *jsonschema.ValidationError, at []string, printer *message.Printer, problems *[]string) {
	if len(err.Causes) > 0 {
		for _, cause := range err.Causes {
			violations(cause, at, printer, problems)
		}
		return
	}
	place := strings.Join(append(slices.Clone(at), err.InstanceLocation...), ".")
	if place == "" {
		place = "the values"
	}
	*problems = append(*problems, place+": "+oneLine(describe(err, printer)))
}

func compile(text []byte) (schema *jsonschema.Schema, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(offline{})
	const location = "file:///values.schema.json"
	if err := compiler.AddResource(location, document); err != nil {
		return nil, err
	}
	return compiler.Compile(location)
}

// offline refuses what a schema refers to outside itself. Helm fetches http(s), reads files
// of the machine, and takes a urn that it does not know for a schema that allows all.
type offline struct{}

// Load implements jsonschema.URLLoader.
func (offline) Load(url string) (any, error) {
	if strings.HasPrefix(url, "urn:") {
		return true, nil
	}
	return nil, errors.New("it refers to another file, which is not fetched")
}

// describe words a violation without the value.
func describe(err *jsonschema.ValidationError, printer *message.Printer) string {
	switch k := err.ErrorKind.(type) {
	case *kind.Pattern:
		return fmt.Sprintf("does not match the pattern %q", k.Want)
	case *kind.Format:
		return "is not a valid " + k.Want
	case *kind.Minimum, *kind.ExclusiveMinimum:
		return "is too small"
	case *kind.Maximum, *kind.ExclusiveMaximum:
		return "is too large"
	case *kind.MultipleOf:
		return "is not a multiple of what the schema says"
	}
	return err.ErrorKind.LocalizedString(printer)
}
