package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// readEnums returns the values that fields may have, by the name of the function that
// describes the type and by field. The documents leave them out; the code that the API
// server makes its documents from has them.
func readEnums(file string) (map[string]map[string][]string, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	enums := map[string]map[string][]string{}
	for _, declaration := range parsed.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(function.Name.Name, "schema_") {
			continue
		}
		ast.Inspect(function, func(n ast.Node) bool {
			pair, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			name, ok := literal(pair.Key)
			if !ok {
				return true
			}
			for suffix, path := range map[string][]string{
				"":      {"SchemaProps", "Enum"},
				entries: {"SchemaProps", "Items", "Schema", "SchemaProps", "Enum"},
			} {
				if values := enumAt(pair.Value, path...); values != nil {
					if enums[function.Name.Name] == nil {
						enums[function.Name.Name] = map[string][]string{}
					}
					enums[function.Name.Name][name+suffix] = values
				}
			}
			return true
		})
	}
	if len(enums) == 0 {
		return nil, fmt.Errorf("%s has no enums", file)
	}
	return enums, nil
}

// entries marks the enum of a list's entries.
const entries = "[]"

// enumAt returns the texts at the end of a path of fields of nested literals.
func enumAt(value ast.Expr, path ...string) []string {
	var values []string
	for _, name := range path {
		composite, ok := unref(value).(*ast.CompositeLit)
		if !ok {
			return nil
		}
		value = nil
		for _, element := range composite.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				if key, ok := pair.Key.(*ast.Ident); ok && key.Name == name {
					value = pair.Value
				}
			}
		}
	}
	if composite, ok := value.(*ast.CompositeLit); ok {
		for _, element := range composite.Elts {
			if text, ok := literal(element); ok {
				values = append(values, text)
			}
		}
	}
	slices.Sort(values)
	return values
}

func unref(expression ast.Expr) ast.Expr {
	if pointer, ok := expression.(*ast.UnaryExpr); ok {
		return pointer.X
	}
	return expression
}

func literal(expression ast.Expr) (string, bool) {
	basic, ok := expression.(*ast.BasicLit)
	if !ok || basic.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(basic.Value)
	return text, err == nil
}

// goName is the name of the function that describes a type: for io.k8s.api.core.v1.Pod
// it is schema_k8sio_api_core_v1_Pod, and for the other modules the path below pkg.
func goName(definition string) string {
	name := strings.TrimPrefix(definition, prefix)
	if rest, ok := strings.CutPrefix(name, "api."); ok {
		name = "k8sio_api_" + rest
	} else if _, rest, ok := strings.Cut(name, ".pkg."); ok {
		name = "pkg_" + rest
	}
	return "schema_" + strings.ReplaceAll(name, ".", "_")
}
