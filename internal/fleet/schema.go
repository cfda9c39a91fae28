package fleet

import (
	"encoding/json"
	"net/netip"
)

// Schema returns the JSON Schema (draft 2020-12) of the facts, for editors. It
// serves a site's group_vars/all/main.yml, where facts stand at the top, and
// fleet.yml, where they stand below all: vars:. Nothing is required in either,
// because a fact may stand in the other, and other variables are allowed.
func Schema() []byte {
	type object = map[string]any
	properties := object{}
	for _, f := range facts() {
		p := object{"description": f.description, "examples": []any{f.sample()}}
		switch f.field(&Facts{}).(type) {
		case *string:
			p["type"] = "string"
			if f.pattern != nil {
				p["pattern"] = f.pattern.String()
			} else {
				p["enum"] = f.choices
			}
		case *int:
			p["type"] = "integer"
			if len(f.numbers) == 1 {
				p["minimum"], p["maximum"] = f.numbers[0].first, f.numbers[0].last
			} else {
				var choices []object
				for _, b := range f.numbers {
					choices = append(choices, object{"minimum": b.first, "maximum": b.last})
				}
				p["anyOf"] = choices
			}
		case *netip.Addr:
			p["type"], p["pattern"] = "string", `^`+ipv4+`$`
		case *netip.Prefix:
			p["type"], p["pattern"] = "string", `^`+ipv4CIDR+`$`
		case *[]Range:
			p["type"], p["minItems"] = "array", 1
			p["items"] = object{"type": "string", "pattern": `^` + ipv4Range + `$`}
		}
		if f.absent != "" {
			p["description"] = f.description + " Default: " + f.absent + "."
		}
		properties[f.name] = p
	}
	schema := object{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "Facts of an archipel fleet",
		"description": "Variables of fleet.yml (below all: vars:) and of a site's group_vars/all/main.yml (at the top).",
		"type":        "object",
		"$ref":        "#/$defs/facts",
		"properties": object{"all": object{
			"type":       "object",
			"properties": object{"vars": object{"$ref": "#/$defs/facts"}},
		}},
		"$defs": object{"facts": object{"type": "object", "properties": properties}},
	}
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		panic("the schema of the facts cannot be written as JSON: " + err.Error())
	}
	return append(text, '\n')
}

// sample returns the fact's example as the type that JSON has for it.
func (f fact) sample() any {
	switch f.field(&Facts{}).(type) {
	case *int:
		return json.Number(f.example)
	case *[]Range:
		return []string{f.example[1 : len(f.example)-1]}
	}
	return f.example
}
