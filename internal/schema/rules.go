package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// rules are the CEL rules of one version of a definition, as the API server runs them.
type rules struct {
	compile func() (compiled, error)
}

type compiled struct {
	schema    *schema.Structural
	validator *cel.Validator
}

// newRules returns rules that are compiled when they are first run.
func newRules(raw map[string]any) *rules {
	return &rules{compile: sync.OnceValues(func() (compiled, error) { return compileRules(raw) })}
}

func compileRules(raw map[string]any) (compiled, error) {
	data, err := json.Marshal(raw)
	if err != nil {
		return compiled{}, err
	}
	var outer apiextensionsv1.JSONSchemaProps
	if err := json.Unmarshal(data, &outer); err != nil {
		return compiled{}, err
	}
	var inner apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&outer, &inner, nil); err != nil {
		return compiled{}, err
	}
	structural, err := schema.NewStructural(&inner)
	if err != nil {
		return compiled{}, err
	}
	return compiled{structural, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// check runs the rules on an object, and those that compare it with what it was before
// when that is given.
func (r *rules) check(object, before map[string]any) []Problem {
	c, err := r.compile()
	if err != nil {
		return []Problem{{Kind: DefinitionInvalid, Message: oneLine(fmt.Sprintf("the rules of the definition cannot be read: %v", err))}}
	}
	if c.validator == nil {
		return nil
	}
	now := c.complete(object)
	var old any
	if before != nil {
		old = c.complete(before)
	}
	errs, _ := c.validator.Validate(context.Background(), nil, c.schema, now, old, celconfig.RuntimeCELCostBudget)
	var problems []Problem
	for _, err := range errs {
		problems = append(problems, ruleProblem(err, object))
	}
	return problems
}

// complete is the object as it is when rules run: without nulls and unknown fields, and
// with defaults.
func (c compiled) complete(object map[string]any) map[string]any {
	whole := plain(object).(map[string]any)
	defaulting.PruneNonNullableNullsWithoutDefaults(whole, c.schema)
	pruning.Prune(whole, c.schema, true)
	defaulting.Default(whole, c.schema)
	return whole
}

func ruleProblem(err *field.Error, object map[string]any) Problem {
	kind := RuleViolated
	if strings.Contains(err.Detail, "rule compile error") || err.Type == field.ErrorTypeInternal {
		kind = DefinitionInvalid
	}
	place := err.Field
	if place == "<nil>" || place == "" {
		place = "the object"
	}
	return Problem{Kind: kind, Path: pathOf(err.Field, object), Message: oneLine(place + ": " + err.Detail)}
}

// pathOf takes a path like spec.ports[0].name or metadata.labels[a.b/c] apart. A name with
// dots is told by what the object has.
func pathOf(place string, object map[string]any) []string {
	if place == "<nil>" {
		return nil
	}
	var path []string
	var at any = object
	for place != "" {
		if rest, ok := strings.CutPrefix(place, "["); ok {
			end := strings.Index(rest, "]")
			if end < 0 {
				return path
			}
			name := rest[:end]
			path, place = append(path, name), rest[end+1:]
			at = childOf(at, name)
			continue
		}
		place = strings.TrimPrefix(place, ".")
		fields, _ := at.(map[string]any)
		name := place[:nameEnd(place, 0)]
		for end := len(name); end < len(place) && fields[name] == nil; {
			end = nameEnd(place, end+1)
			if _, ok := fields[place[:end]]; ok {
				name = place[:end]
			}
		}
		if name == "" {
			return path
		}
		path, place = append(path, name), place[len(name):]
		at = fields[name]
	}
	return path
}

// nameEnd is where a name ends at the earliest.
func nameEnd(place string, from int) int {
	if from >= len(place) {
		return len(place)
	}
	if i := strings.IndexAny(place[from:], ".["); i >= 0 {
		return from + i
	}
	return len(place)
}

func childOf(at any, name string) any {
	switch v := at.(type) {
	case map[string]any:
		return v[name]
	case []any:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}
