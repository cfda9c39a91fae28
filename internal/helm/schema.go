package helm

import (
	"fmt"
	"slices"
	"strings"

	"archipel/internal/schema"

	v2 "helm.sh/helm/v4/pkg/chart/v2"
)

// maxViolations bounds what one message tells.
const maxViolations = 5

// validate holds coalesced values to the schemas of the chart and of its enabled subcharts,
// as Helm's ValidateAgainstSchema does. What a schema refers to outside itself is not
// fetched, and refuses nothing.
func validate(schemas *schema.Store, c *v2.Chart, values map[string]any) error {
	var problems []string
	var walk func(c *v2.Chart, values map[string]any, at []string)
	walk = func(c *v2.Chart, values map[string]any, at []string) {
		if c.Schema != nil {
			for _, p := range schemas.Values(c.Schema, values) {
				if p.Kind == schema.ValuesSchemaPartial {
					continue
				}
				if place := strings.Join(slices.Concat(at, p.Path), "."); place != "" {
					p.Message = place + ": " + p.Message
				}
				problems = append(problems, p.Message)
			}
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
