package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

const internal = "archipel/internal/"

// layers are the packages below internal/, lowest first. A package imports
// packages of lower layers only, so that each can be understood and tested
// without what is built on it.
func layers() [][]string {
	return [][]string{
		{"finding"},
		{"source"},
		{"fleet"},
		{"derive", "secret", "schema", "policy"},
		{"chart", "guard"},
		{"helm"},
		{"render"},
		{"check", "diff"},
		{"scan", "status", "lab/hosts", "terraform"},
		{"lab"},
		{"bootstrap"},
		{"term"},
		{"cli"},
	}
}

// homes are the packages that touch the world, and who may use them. They know
// nothing of archipel.
func homes() map[string][]string {
	return map[string][]string{
		"tool":  {"lab/hosts", "terraform", "lab", "bootstrap", "cli"},
		"kube":  {"lab", "cli"},
		"store": {"cli"},
	}
}

// ofTests are the packages that only tests import.
func ofTests() []string {
	return []string{"archtest", "chart/charttest", "e2e", "fleet/fleettest", "infrastructure", "kube/kubetest", "playbooks"}
}

func ofTestsPaths() []string {
	var paths []string
	for _, name := range ofTests() {
		paths = append(paths, "internal/"+name)
	}
	return paths
}

func TestLayers(t *testing.T) {
	rank := map[string]int{}
	for i, layer := range layers() {
		for _, name := range layer {
			rank[name] = i
		}
	}
	for _, f := range goFolders(t, token.NewFileSet(), "internal") {
		name := strings.TrimPrefix(f.path, "internal/")
		_, layered := rank[name]
		users, home := homes()[name]
		if !layered && !home && !slices.Contains(ofTests(), name) {
			t.Errorf("%s has no layer: give it one in layers_test.go and in docs/architecture.md", f.path)
		}
		for _, file := range f.files {
			for _, imported := range file.imports {
				other, ours := strings.CutPrefix(imported, internal)
				if !ours || file.test {
					continue
				}
				users, isHome := homes()[other]
				switch {
				case slices.Contains(ofTests(), other):
					t.Errorf("%s imports %s, which is for tests only", file.path, imported)
				case slices.Contains(ofTests(), name):
				case home:
					t.Errorf("%s imports %s: an effect's home knows nothing of archipel, so that its users give it all it needs", file.path, imported)
				case isHome && !slices.Contains(users, name):
					t.Errorf("%s imports %s: effects reach the layers through a small interface that they own, so that they work offline and without fakes of the world", file.path, imported)
				case !isHome && layered && rank[other] >= rank[name]:
					t.Errorf("%s imports %s: imports go from cli down to finding, one way only, so that each layer stands without those above it", file.path, imported)
				}
			}
		}
		for _, user := range users {
			if _, ok := rank[user]; !ok {
				t.Errorf("homes names %s, which is no layer", user)
			}
		}
	}
}

// ban is a package that some code must not import.
type ban struct {
	imports string   // this package and those below it
	from    []string // folders in which it is banned
	except  []string // folders in which it is not
	reason  string
}

func bans() []ban {
	offline := []string{
		"internal/finding", "internal/source", "internal/fleet", "internal/derive",
		"internal/secret", "internal/schema", "internal/policy", "internal/guard", "internal/helm", "internal/render", "internal/check", "internal/diff",
	}
	return []ban{
		{
			imports: "os/exec", from: []string{"internal", "cmd"}, except: []string{"internal/tool"},
			reason: "internal/tool is the only package that starts programs, so that one place bounds, logs and stops them",
		},
		{
			imports: "k8s.io/client-go", from: []string{"internal", "cmd"}, except: []string{"internal/kube"},
			reason: "internal/kube is the only package that talks to a cluster, so that one place bounds and words it",
		},
		{
			imports: "github.com/aws/aws-sdk-go-v2", from: []string{"internal", "cmd"}, except: []string{"internal/store"},
			reason: "internal/store is the only package that talks to the store of Terraform's states, so that one place bounds and words it",
		},
		{
			imports: "net/http", from: append(offline, "internal/status", "internal/terraform", "internal/term", "internal/cli", "cmd"),
			reason: "what archipel knows of a repository it knows offline; what must be fetched comes through an interface of the package that needs it",
		},
		{
			imports: "github.com/spf13/cobra", from: []string{"internal"}, except: []string{"internal/cli"},
			reason: "commands and flags belong to internal/cli; everything below can be called without them",
		},
		{
			imports: "archipel/internal/kube/kubetest", from: []string{"internal", "cmd"},
			reason: "it is a stand-in for tests",
		},
		{
			imports: "testing", from: []string{"internal", "cmd"}, except: ofTestsPaths(),
			reason: "it adds its flags to the program",
		},
	}
}

func TestBans(t *testing.T) {
	for _, f := range goFolders(t, token.NewFileSet(), "internal", "cmd") {
		for _, file := range f.files {
			if file.test {
				continue
			}
			for _, imported := range file.imports {
				for _, b := range bans() {
					in := func(folder string) bool { return under(f.path, folder) }
					if under(imported, b.imports) && slices.ContainsFunc(b.from, in) && !slices.ContainsFunc(b.except, in) {
						t.Errorf("%s imports %s: %s", file.path, imported, b.reason)
					}
				}
			}
		}
	}
}

// TestGlobals finds state that outlives a call: two runs in one process, as
// tests do, would share it.
func TestGlobals(t *testing.T) {
	fset := token.NewFileSet()
	for _, f := range goFolders(t, fset, "internal", "cmd", "lab/cmd", "lab/internal") {
		for _, file := range f.files {
			if file.test {
				continue
			}
			for _, declaration := range file.syntax.Decls {
				switch d := declaration.(type) {
				case *ast.FuncDecl:
					if d.Recv == nil && d.Name.Name == "init" {
						t.Errorf("%s: init runs before anybody asked for it: call a function from main instead", fset.Position(d.Pos()))
					}
				case *ast.GenDecl:
					if d.Tok != token.VAR {
						continue
					}
					for _, spec := range d.Specs {
						for _, name := range changeable(spec.(*ast.ValueSpec)) {
							if f.path == "lab/cmd/k3s" && name == "version" {
								continue // the linker sets it: there is a binary for each version
							}
							t.Errorf("%s: package variable %s can be changed by anybody: make it a constant, a function or a field", fset.Position(spec.Pos()), name)
						}
					}
				}
			}
		}
	}
}

// changeable names the variables of a declaration, but for those that are
// constants in all but the language: compiled patterns, errors to compare
// with, embedded files, and assertions that a type has an interface.
func changeable(spec *ast.ValueSpec) []string {
	if t, ok := spec.Type.(*ast.SelectorExpr); ok && isName(t.X, "embed") {
		return nil
	}
	var names []string
	for i, name := range spec.Names {
		if name.Name == "_" {
			continue
		}
		if i < len(spec.Values) {
			if call, ok := spec.Values[i].(*ast.CallExpr); ok {
				if f, ok := call.Fun.(*ast.SelectorExpr); ok {
					if x, ok := f.X.(*ast.Ident); ok && slices.Contains([]string{"regexp.MustCompile", "errors.New"}, x.Name+"."+f.Sel.Name) {
						continue
					}
				}
			}
		}
		names = append(names, name.Name)
	}
	return names
}
