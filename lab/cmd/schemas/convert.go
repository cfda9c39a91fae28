package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// document is what is used of one OpenAPI document.
type document struct {
	Paths map[string]struct {
		Post *struct {
			Kind struct{ Group, Version, Kind string } `json:"x-kubernetes-group-version-kind"`
		} `json:"post"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

// schema is what is used of one OpenAPI schema.
type schema struct {
	Ref        string             `json:"$ref"`
	AllOf      []*schema          `json:"allOf"` // a reference, to say more beside it
	OneOf      []*schema          `json:"oneOf"`
	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Properties map[string]*schema `json:"properties"`
	Additional *schema            `json:"additionalProperties"`
	Items      *schema            `json:"items"`
	Required   []string           `json:"required"`
	Default    any                `json:"default"`
	ListType   string             `json:"x-kubernetes-list-type"`
	ListKeys   []string           `json:"x-kubernetes-list-map-keys"`
	Kinds      []groupVersionKind `json:"x-kubernetes-group-version-kind"`
}

type groupVersionKind struct{ Group, Version, Kind string }

func (k groupVersionKind) apiVersion() string {
	if k.Group == "" {
		return k.Version
	}
	return k.Group + "/" + k.Version
}

// node is a schema as archipel reads it: internal/schema/builtin.go.
type node struct {
	Ref      string           `json:"r,omitempty"`
	Type     string           `json:"t,omitempty"` // first letter of the type: s, i, n, b, o, a
	Format   string           `json:"f,omitempty"`
	Fields   map[string]*node `json:"p,omitempty"`
	Extra    *node            `json:"x,omitempty"`
	Items    *node            `json:"e,omitempty"`
	Required []string         `json:"q,omitempty"`
	Default  any              `json:"d,omitempty"`
	Keys     []string         `json:"k,omitempty"` // of a list that is a map
	Set      bool             `json:"u,omitempty"` // a list that is a set
	Enum     []string         `json:"v,omitempty"`
}

// convert returns the lines of a file: the version, one line for each kind that can be
// created ("kind", version, kind, scope, type), and one for each type ("type", name, node).
func convert(dir, version string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(dir, "api", "openapi-spec", "v3", "*.json"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("no OpenAPI documents in api/openapi-spec/v3")
	}
	enums, err := readEnums(filepath.Join(dir, "pkg", "generated", "openapi", "zz_generated.openapi.go"))
	if err != nil {
		return nil, err
	}
	kinds, types := map[string]string{}, map[string]*schema{}
	scopes := map[groupVersionKind]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var d document
		if err := json.Unmarshal(data, &d); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for path, item := range d.Paths {
			if item.Post == nil || item.Post.Kind.Kind == "" || strings.HasSuffix(path, "}") || subresource(path) {
				continue
			}
			scope := "cluster"
			if strings.Contains(path, "/namespaces/{namespace}/") {
				scope = "namespaced"
			}
			scopes[item.Post.Kind] = scope
		}
		for name, s := range d.Components.Schemas {
			types[name] = s
		}
	}
	for name, s := range types {
		for _, k := range s.Kinds {
			// DeleteOptions and the like are a kind of every group, and can be created in none.
			if scope, ok := scopes[k]; ok && strings.HasSuffix(name, "."+k.Kind) {
				kinds["kind "+k.apiVersion()+" "+k.Kind] = scope + " " + shorten(name)
			}
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "kubernetes %s\n", version)
	for _, line := range sorted(kinds) {
		fmt.Fprintf(&out, "%s %s\n", line, kinds[line])
	}
	reached := map[string]bool{}
	for _, value := range kinds {
		_, name, _ := strings.Cut(value, " ")
		reach(types, lengthen(name), reached)
	}
	used := 0
	for _, name := range sorted(reached) {
		s := types[name]
		if s == nil {
			return nil, fmt.Errorf("no schema %s", name)
		}
		n := convertNode(s)
		for field, values := range enums[goName(name)] {
			field, list := strings.CutSuffix(field, entries)
			f := n.Fields[field]
			if f != nil && list {
				f = f.Items
			}
			if f != nil {
				f.Enum = values
				used++
			}
		}
		var line bytes.Buffer
		encoder := json.NewEncoder(&line)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(n); err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "type %s %s", shorten(name), line.Bytes())
	}
	if used < 50 {
		return nil, fmt.Errorf("only %d enums found in the generated code: it looks different now", used)
	}
	return out.Bytes(), nil
}

// subresource tells /apis/x/v1/namespaces/{namespace}/pods/{name}/eviction.
func subresource(path string) bool {
	return strings.Contains(strings.ReplaceAll(path, "/namespaces/{namespace}/", "/"), "{")
}

// reach marks a type and all that it is made of.
func reach(types map[string]*schema, name string, reached map[string]bool) {
	if !reached[name] {
		reached[name] = true
		reachSchema(types, types[name], reached)
	}
}

func reachSchema(types map[string]*schema, s *schema, reached map[string]bool) {
	if s == nil {
		return
	}
	if ref := reference(s); ref != "" {
		reach(types, ref, reached)
	}
	for _, field := range s.Properties {
		reachSchema(types, field, reached)
	}
	reachSchema(types, s.Additional, reached)
	reachSchema(types, s.Items, reached)
}

func reference(s *schema) string {
	ref := s.Ref
	if ref == "" && len(s.AllOf) == 1 {
		ref = s.AllOf[0].Ref
	}
	return strings.TrimPrefix(ref, "#/components/schemas/")
}

func convertNode(s *schema) *node {
	n := &node{Ref: shorten(reference(s)), Format: s.Format, Required: s.Required, Keys: s.ListKeys, Set: s.ListType == "set"}
	if s.Type != "" {
		n.Type = s.Type[:1]
	}
	// An empty object as the default is the generator's way to say that a struct is no pointer.
	if m, ok := s.Default.(map[string]any); !ok || len(m) > 0 {
		n.Default = s.Default
	}
	slices.Sort(n.Required)
	if len(s.OneOf) > 0 && n.Format == "" {
		n.Format = "quantity" // Quantity, the only one beside IntOrString
	}
	for name, field := range s.Properties {
		if n.Fields == nil {
			n.Fields = map[string]*node{}
		}
		n.Fields[name] = convertNode(field)
	}
	if s.Additional != nil {
		n.Extra = convertNode(s.Additional)
	}
	if s.Items != nil {
		n.Items = convertNode(s.Items)
	}
	return n
}

const prefix = "io.k8s."

func shorten(name string) string { return strings.TrimPrefix(name, prefix) }

func lengthen(name string) string { return prefix + name }

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
