package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"archipel/internal/fleet"
)

// TestVersions holds together what a site pins and what the lab builds and
// serves: the lab would otherwise prove another version than the one that runs.
func TestVersions(t *testing.T) {
	f, findings := fleet.Load(os.DirFS(checkout))
	if len(findings) > 0 || len(f.Sites) == 0 {
		t.Fatalf("the fleet has %d sites and these findings: %v", len(f.Sites), findings)
	}
	for _, site := range f.Sites {
		kubernetes, _, _ := strings.Cut(site.Facts.K3sVersion, "+")
		for _, pin := range []struct{ fact, version, module, file string }{
			{"k3s_version", kubernetes, "k8s.io/kubernetes", "lab/go.mod"},
			{"flux_version", site.Facts.FluxVersion, "github.com/fluxcd/flux2/v2", "lab/go.mod"},
			{"cilium_version", "v" + site.Facts.CiliumVersion, "github.com/cilium/cilium", "lab/manifests/go.mod"},
			{"metallb_version", "v" + site.Facts.MetalLBVersion, "go.universe.tf/metallb", "lab/manifests/go.mod"},
		} {
			if required := requiredVersion(t, pin.file, pin.module); required != pin.version {
				t.Errorf("%s of %s asks for %s, but %s requires %s %s: change both in one commit",
					pin.fact, site.Name, pin.version, pin.file, pin.module, required)
			}
		}
	}
}

func requiredVersion(t *testing.T, file, module string) string {
	t.Helper()
	match := regexp.MustCompile(`(?m)^(?:require)?\s+` + regexp.QuoteMeta(module) + ` (v\S+)`).FindStringSubmatch(readTree(t, file))
	if match == nil {
		t.Fatalf("%s does not require %s", file, module)
	}
	return match[1]
}

// TestUpstreams compares the Helm repositories and the OCI registries that the
// tree names with those that the lab answers for.
func TestUpstreams(t *testing.T) {
	var served, named []string
	for _, f := range goFolders(t, token.NewFileSet(), "internal/lab") {
		for _, file := range f.files {
			ast.Inspect(file.syntax, func(node ast.Node) bool {
				if pair, ok := node.(*ast.KeyValueExpr); ok && isName(pair.Key, "Registries") {
					for _, host := range texts(pair.Value) {
						served = append(served, "oci://"+host)
					}
				}
				if literal, ok := node.(*ast.CompositeLit); ok {
					if fields := textFields(literal); fields["Host"] != "" && fields["Chart"] != "" {
						served = append(served, strings.TrimSuffix("https://"+fields["Host"]+fields["Path"], "/"))
					}
				}
				return true
			})
		}
	}
	source := regexp.MustCompile(`(?m)^kind: (Helm|OCI)Repository$`)
	url := regexp.MustCompile(`(?m)^  url: *((oci://[^/\s]+)\S*|\S+)`)
	for _, name := range treeFiles(t) {
		if !under(name, "kubernetes/flux") || filepath.Ext(name) != ".yaml" {
			continue
		}
		for document := range strings.SplitSeq(readTree(t, name), "\n---\n") {
			if !source.MatchString(document) {
				continue
			}
			if match := url.FindStringSubmatch(document); match == nil {
				t.Errorf("%s: a source without spec.url", name)
			} else if match[2] != "" {
				named = append(named, match[2])
			} else {
				named = append(named, strings.TrimSuffix(match[1], "/"))
			}
		}
	}
	slices.Sort(served)
	slices.Sort(named)
	if len(served) == 0 || !slices.Equal(served, slices.Compact(named)) {
		t.Errorf("the tree pulls from %v, but internal/lab answers for %v: the lab would refuse the difference", named, served)
	}
}

// textFields are the fields of a literal that are given as texts.
func textFields(literal *ast.CompositeLit) map[string]string {
	fields := map[string]string{}
	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if key, ok := pair.Key.(*ast.Ident); ok {
			if text, ok := text(pair.Value); ok {
				fields[key.Name] = text
			}
		}
	}
	return fields
}

// texts are the elements of a literal that are texts.
func texts(expression ast.Expr) []string {
	var all []string
	if literal, ok := expression.(*ast.CompositeLit); ok {
		for _, element := range literal.Elts {
			if text, ok := text(element); ok {
				all = append(all, text)
			}
		}
	}
	return all
}

func text(expression ast.Expr) (string, bool) {
	literal, ok := expression.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(literal.Value)
	return value, err == nil
}

func isName(expression ast.Expr, name string) bool {
	identifier, ok := expression.(*ast.Ident)
	return ok && identifier.Name == name
}
