package schema

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

const exampleSchema = `{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "type": "object", "required": ["image"], "additionalProperties": false,
  "definitions": {"port": {"type": "integer", "minimum": 1, "maximum": 65535}},
  "properties": {
    "image": {"type": "object", "additionalProperties": false, "required": ["repository"],
      "properties": {"repository": {"type": "string", "minLength": 1}, "tag": {"type": ["string", "null"]}, "pullPolicy": {"enum": ["Always", "Never"]}}},
    "replicas": {"type": "integer", "exclusiveMinimum": 0},
    "port": {"$ref": "#/definitions/port"},
    "hosts": {"type": "array", "uniqueItems": true, "maxItems": 2, "items": {"type": "string", "pattern": "^[a-z.]+$"}},
    "resources": {"$ref": "https://schemas.example/resources.json#/definitions/resources"},
    "auth": {"oneOf": [{"required": ["secret"]}, {"required": ["password"]}], "properties": {"secret": {"type": "string"}, "password": {"type": "string"}}},
    "size": {"anyOf": [{"type": "string", "pattern": "^[0-9]+Gi$"}, {"type": "integer"}]},
    "mode": {"const": "fixed"}, "never": false, "not": {"not": {"type": "string"}},
    "labels": {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}}
  }
}`

func TestValues(t *testing.T) {
	store := New()
	for _, c := range []struct{ values, want string }{
		{`{"image": {"repository": "a", "tag": null}, "replicas": 2.0, "resources": {"anything": 1}}`, ``},
		{`{}`, `values lacks image`},
		{`{"image": {}}`, `image lacks repository`},
		{`{"image": {"repository": "a"}, "replica": 2}`, `the chart has no value replica (write replicas)`},
		{`{"image": {"repository": "a", "repositry": "x", "zzz": 1}}`, `the chart has no value image.repositry (write repository) | the chart has no value image.zzz (remove it)`},
		{`{"image": {"repository": 1}}`, `image.repository must be a string`},
		{`{"image": {"repository": "", "tag": 1}}`, `image.repository must have at least 1 characters | image.tag must be null or a string`},
		{`{"image": {"repository": "a", "pullPolicy": "always"}}`, `image.pullPolicy must be one of Always, Never`},
		{`{"image": {"repository": "a"}, "replicas": 0, "port": 70000}`, `port must be at most 65535 | replicas must be more than 0`},
		{`{"image": {"repository": "a"}, "hosts": ["a", "a"]}`, `hosts has the same entry twice, at 0 and 1`},
		{`{"image": {"repository": "a"}, "hosts": ["A", "b", "c"]}`, `hosts must have at most 2 entries | hosts[0] must match ^[a-z.]+$`},
		{`{"image": {"repository": "a"}, "auth": {}}`, `auth fits none of the allowed forms: auth lacks secret; or auth lacks password`},
		{`{"image": {"repository": "a"}, "auth": {"secret": "hunter2", "password": "hunter2"}}`, `auth fits more than one of the forms that exclude each other`},
		{`{"image": {"repository": "a"}, "size": "hunter2"}`, `size fits none of the allowed forms: size must match ^[0-9]+Gi$; or size must be an integer`},
		{`{"image": {"repository": "a"}, "mode": "hunter2"}`, `mode must be fixed`},
		{`{"image": {"repository": "a"}, "never": 1}`, `never is not allowed`},
		{`{"image": {"repository": "a"}, "not": "hunter2"}`, `not has a form that is forbidden`},
		{`{"image": {"repository": "a"}, "labels": {"A1": "x"}}`, `"A1" is a name that the chart does not allow`},
	} {
		var values map[string]any
		if err := json.Unmarshal([]byte(c.values), &values); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second answer comes from memory
			problems := store.Values([]byte(exampleSchema), values)
			if len(problems) == 0 || problems[0].Kind != ValuesSchemaPartial || !strings.Contains(problems[0].Message, "schemas.example") {
				t.Fatalf("nothing says that a part of the schema is not there: %v", problems)
			}
			var got []string
			for _, p := range problems[1:] {
				message := p.Message
				if p.Fix != "" {
					message += " (" + p.Fix + ")"
				}
				if strings.Contains(message, "hunter2") {
					t.Errorf("shows a value: %s", message)
				}
				got = append(got, message)
			}
			if strings.Join(got, " | ") != c.want {
				t.Errorf("%s: got\n  %s\nwant\n  %s", c.values, strings.Join(got, " | "), c.want)
			}
		}
	}
}

func TestValuesPaths(t *testing.T) {
	problems := New().Values([]byte(`{"properties": {"a": {"items": {"type": "string"}}}}`), map[string]any{"a": []any{"x", 1}})
	if len(problems) != 1 || !slices.Equal(problems[0].Path, []string{"a", "1"}) {
		t.Errorf("got %v", problems)
	}
}

func TestUnusableValuesSchema(t *testing.T) {
	for _, schema := range []string{``, `{`, `[]`, `{"type": 1}`, `{"$ref": "#/nowhere"}`, `{"pattern": "("}`, `{"$schema": "https://nobody.example/dialect"}`} {
		problems := New().Values([]byte(schema), map[string]any{})
		if len(problems) != 1 || problems[0].Kind != ValuesSchemaInvalid {
			t.Errorf("%s: got %v", schema, problems)
		}
	}
	for _, reference := range []string{"file:///etc/passwd", "http://127.0.0.1:1/x", "other.json", "/etc/passwd"} {
		problems := New().Values([]byte(`{"$ref": "`+reference+`"}`), map[string]any{})
		if len(problems) != 1 || problems[0].Kind != ValuesSchemaPartial {
			t.Errorf("%s: got %v", reference, problems)
		}
	}
}
