package render

import (
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// site is a tree with one site, whose entry holds the manifests.
func site(manifests string) fstest.MapFS {
	return fstest.MapFS{
		"kubernetes/flux/clusters/one/kustomization.yaml": content("resources: [site.yaml, manifests.yaml]\n"),
		"kubernetes/flux/clusters/one/site.yaml": content(`apiVersion: v1
kind: ConfigMap
metadata: {name: site, namespace: flux-system}
data: {name: one, number: "1", list: '["a","b"]', folded: "a\nb", quoted: '"1.20"'}
`),
		"kubernetes/flux/clusters/one/manifests.yaml": content(manifests),
	}
}

func content(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o644} }

// values is a ConfigMap of another name, with one value to substitute in.
func values(value string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: values}\ndata:\n  value: " + value + "\n"
}

func TestRootSubstitutes(t *testing.T) {
	for name, test := range map[string]struct {
		value string
		want  any
	}{
		"plain":                 {"plain", "plain"},
		"text":                  {"${name}", "one"},
		"part of a text":        {"a-${name}/b", "a-one/b"},
		"number":                {"${number}", int64(1)},
		"quotes do not help":    {`"${number}"`, int64(1)},
		"quotes of the fact do": {"${quoted}", "1.20"},
		"list":                  {"${list}", []any{"a", "b"}},
		"line ends go":          {"${folded}", "ab"},
		"default not taken":     {"${name:-other}", "one"},
		"default":               {"${missing:-other}", "other"},
		"default, assigned":     {"${missing:=other}", "other"},
		"empty default":         {`a${missing:-}b`, "ab"},
		"upper case":            {"${name^^}", "ONE"},
		"escaped":               {"$${name}", "${name}"},
		"no braces":             {"$name", "$name"},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := Root(site(values(test.value)), "one")
			if err != nil {
				t.Fatal(err)
			}
			got := find(t, objects, "ConfigMap", "values")
			value, _, _ := unstructured.NestedFieldNoCopy(got.Object, "data", "value")
			if !reflect.DeepEqual(value, test.want) {
				t.Errorf("got %#v, want %#v", value, test.want)
			}
		})
	}
}

func TestRootHonoursTheOptOut(t *testing.T) {
	for _, field := range []string{"annotations", "labels"} {
		manifest := strings.Replace(values("${undefined}"), "{name: values}",
			"{name: values, "+field+": {kustomize.toolkit.fluxcd.io/substitute: disabled}}", 1)
		objects, err := Root(site(manifest), "one")
		if err != nil {
			t.Fatalf("%s: %v", field, err)
		}
		value, _, _ := unstructured.NestedString(find(t, objects, "ConfigMap", "values").Object, "data", "value")
		if value != "${undefined}" {
			t.Errorf("%s: got %q", field, value)
		}
	}
}

func TestRootIsDeterministic(t *testing.T) {
	var first string
	for range 5 {
		objects, err := Root(os.DirFS(repository), "site-a")
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, objects); first != "" && got != first {
			t.Fatalf("got\n%s\nand before\n%s", got, first)
		} else {
			first = got
		}
	}
}

func TestRootFails(t *testing.T) {
	remove := func(name string) func(fstest.MapFS) {
		return func(tree fstest.MapFS) { delete(tree, "kubernetes/flux/clusters/one/"+name) }
	}
	change := func(name, text string) func(fstest.MapFS) {
		return func(tree fstest.MapFS) { tree["kubernetes/flux/clusters/one/"+name] = content(text) }
	}
	for name, test := range map[string]struct {
		change func(fstest.MapFS)
		says   []string
	}{
		"no site.yaml":         {remove("site.yaml"), []string{"site.yaml"}},
		"site.yaml not listed": {change("kustomization.yaml", "resources: [manifests.yaml]\n"), []string{"ConfigMap flux-system/site", "archipel site sync"}},
		"another namespace":    {change("site.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: site, namespace: other}\ndata: {}\n"), []string{"archipel site sync"}},
		"no cluster folder": {func(tree fstest.MapFS) { clear(tree); tree["kubernetes/flux/apps/README.md"] = content("") },
			[]string{"kubernetes/flux/clusters/one"}},
		"no tree":         {func(tree fstest.MapFS) { clear(tree) }, []string{"one", "kubernetes/flux"}},
		"not YAML":        {change("manifests.yaml", "a: [\n"), []string{"manifests.yaml"}},
		"undefined":       {change("manifests.yaml", values("${undefined_fact}")), []string{"undefined_fact", "ConfigMap values"}},
		"undefined, used": {change("manifests.yaml", values("${undefined_fact^^}")), []string{"undefined_fact", "ConfigMap values"}},
		"undefined in a default": {change("manifests.yaml", values("${missing:-${undefined_fact}}")),
			[]string{"undefined_fact", "ConfigMap values"}},
		"broken substitution":     {change("manifests.yaml", values("${name")), []string{"ConfigMap values"}},
		"a fact that breaks YAML": {change("manifests.yaml", values("[${list}")), []string{"manifests.yaml"}},
		"file too large": {func(tree fstest.MapFS) {
			change("large.yaml", strings.Repeat("# x\n", maxFile/4+1))(tree)
			change("kustomization.yaml", "resources: [site.yaml, large.yaml]\n")(tree)
		}, []string{"large.yaml", fmt.Sprint(maxFile)}},
		"outside of the tree": {func(tree fstest.MapFS) {
			tree["kubernetes/secret.yaml"] = content(values("canary"))
			tree["kubernetes/flux/clusters/one/kustomization.yaml"] = content("resources: [site.yaml, ../../../secret.yaml]\n")
		}, []string{"secret.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			tree := site(values("a"))
			test.change(tree)
			objects, err := Root(tree, "one")
			if err == nil {
				t.Fatalf("got %d objects", len(objects))
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error tells what it must not read: %v", err)
			}
		})
	}
}

// A build must neither use the network nor start a program, as kustomize does
// for what it takes for a remote base or file.
func TestRootFetchesNothing(t *testing.T) {
	asked := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		fmt.Fprint(w, values("fetched"))
	}))
	defer server.Close()
	bin := t.TempDir()
	mark := filepath.Join(bin, "ran")
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte("#!/bin/sh\n: > "+mark+"\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	url := server.URL + "/x.yaml"
	for name, entry := range map[string]string{
		"file":              "resources: [site.yaml, '" + url + "']",
		"folder":            "resources: [site.yaml, '" + server.URL + "/fleet.git//x?ref=main']",
		"folder over ssh":   "resources: [site.yaml, 'ssh://git@127.0.0.1:1/fleet.git']",
		"folder, short":     "resources: [site.yaml, 'git@127.0.0.1:fleet']",
		"folder of a forge": "resources: [site.yaml, 'github.com/fluxcd/flux2']",
		"local repository":  "resources: [site.yaml, 'file:///nowhere/fleet']",
		"base":              "resources: [site.yaml]\nbases: ['" + server.URL + "/fleet.git//x']",
		"component":         "resources: [site.yaml]\ncomponents: ['" + server.URL + "/fleet.git//x']",
		"patch":             "resources: [site.yaml]\npatches: [{path: '" + url + "'}]",
		"old patch":         "resources: [site.yaml]\npatchesStrategicMerge: ['" + url + "']",
		"JSON patch":        "resources: [site.yaml]\npatchesJson6902: [{path: '" + url + "', target: {kind: ConfigMap, name: site, version: v1}}]",
		"configuration":     "resources: [site.yaml]\nconfigurations: ['" + url + "']",
		"schema":            "resources: [site.yaml]\nopenapi: {path: '" + url + "'}",
		"CRD":               "resources: [site.yaml]\ncrds: ['" + url + "']",
		"transformer":       "resources: [site.yaml]\ntransformers: ['" + url + "']",
		"generator":         "resources: [site.yaml]\ngenerators: ['" + url + "']",
		"generated file":    "resources: [site.yaml]\nconfigMapGenerator: [{name: x, files: ['a=" + url + "']}]",
		"environment file":  "resources: [site.yaml]\nsecretGenerator: [{name: x, envs: ['" + url + "']}]",
		"replacement":       "resources: [site.yaml]\nreplacements: [{path: '" + url + "'}]",
	} {
		t.Run(name, func(t *testing.T) {
			tree := site(values("a"))
			tree["kubernetes/flux/clusters/one/kustomization.yaml"] = content(entry + "\n")
			_, err := Root(tree, "one")
			select {
			case path := <-asked:
				t.Errorf("it fetched %s", path)
			default:
			}
			if _, ran := os.Stat(mark); ran == nil {
				t.Error("it started git")
				os.Remove(mark)
			}
			if err == nil {
				t.Error("no error")
			}
		})
	}
}

// What stands in the tree may be referred to in every way that kustomize has.
func TestRootReadsTheTree(t *testing.T) {
	tree := site(values("a"))
	add := func(name, text string) { tree["kubernetes/flux/"+name] = content(text) }
	add("clusters/one/kustomization.yaml", `resources: [site.yaml, manifests.yaml, ../../shared/relative.yaml]
bases: [../../shared/base]
components: [../../shared/component]
patches:
  - path: patch.yaml
  - target: {kind: ConfigMap, name: values}
    patch: |
      - {op: add, path: /data/inline, value: https://example.org}
patchesStrategicMerge:
  - |
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: values}
    data: {old: inline}
configMapGenerator:
  - {name: generated, files: [plain.txt, key=plain.txt], envs: [variables.env], literals: [url=https://example.org/a=b], options: {disableNameSuffixHash: true}}
configurations: [configuration.yaml]
`)
	add("clusters/one/patch.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: values}\ndata: {patched: yes-it-is}\n")
	add("clusters/one/plain.txt", "plain")
	add("clusters/one/variables.env", "A=b\n")
	add("clusters/one/configuration.yaml", "nameReference: []\n")
	add("shared/relative.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: relative}\n")
	add("shared/base/kustomization.yml", "resources: [../nested]\n")
	add("shared/nested/Kustomization", "resources: [nested.yaml]\n")
	add("shared/nested/nested.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nested}\n")
	add("shared/component/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncommonAnnotations: {component: here}\n")
	objects, err := Root(tree, "one")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]map[string]any{
		"values":    {"metadata/annotations": map[string]any{"component": "here"}, "data/value": "a", "data/patched": "yes-it-is", "data/inline": "https://example.org", "data/old": "inline"},
		"generated": {"data/plain.txt": "plain", "data/key": "plain", "data/A": "b", "data/url": "https://example.org/a=b"},
		"relative":  {}, "nested": {},
	} {
		check(t, find(t, objects, "ConfigMap", name).Object, want)
	}
	// One level down counts too.
	add("shared/nested/Kustomization", "resources: [nested.yaml, 'https://127.0.0.1:1/x.yaml']\n")
	if _, err := Root(tree, "one"); err == nil || !strings.Contains(err.Error(), "kubernetes/flux/shared/nested/Kustomization:1: https://127.0.0.1:1/x.yaml is fetched from elsewhere") {
		t.Errorf("got %v", err)
	}
}

// The largest file that passes is one that etcd would not take.
func TestRootTakesAFileOfTheLimit(t *testing.T) {
	tree := site(values("a"))
	tree["kubernetes/flux/clusters/one/large.bin"] = content(strings.Repeat("x", maxFile))
	if _, err := Root(tree, "one"); err != nil {
		t.Fatal(err)
	}
}

// Flux leaves symbolic links out of what it fetches, so nothing behind one counts.
func TestRootFollowsNoLink(t *testing.T) {
	root := t.TempDir()
	tree := site(values("a"))
	if err := os.CopyFS(root, tree); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside.yaml")
	if err := os.WriteFile(outside, []byte(values("canary")), 0o600); err != nil {
		t.Fatal(err)
	}
	entry := filepath.Join(root, "kubernetes", "flux", "clusters", "one")
	for _, target := range []string{outside, "site.yaml"} {
		link := filepath.Join(entry, "link.yaml")
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(entry, "kustomization.yaml"), []byte("resources: [site.yaml, link.yaml]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		objects, err := Root(os.DirFS(root), "one")
		if err == nil || !strings.Contains(err.Error(), "link.yaml") || strings.Contains(err.Error(), "canary") {
			t.Errorf("a link to %s: %d objects, %v", target, len(objects), err)
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
	}
	// The same with a folder.
	if err := os.Rename(filepath.Join(entry, "site.yaml"), filepath.Join(filepath.Dir(outside), "kustomization.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(entry, "folder")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(entry, "kustomization.yaml"), []byte("resources: [folder]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if objects, err := Root(os.DirFS(root), "one"); err == nil {
		t.Errorf("a link to a folder: %d objects", len(objects))
	}
}

// find returns the one object of a kind and name.
func find(t *testing.T, objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	var found *unstructured.Unstructured
	for _, object := range objects {
		if object.GetKind() == kind && object.GetName() == name {
			if found != nil {
				t.Fatalf("there are two of %s %s", kind, name)
			}
			found = object
		}
	}
	if found == nil {
		t.Fatalf("there is no %s %s", kind, name)
	}
	return found
}

// folder builds a folder of the tree as Flux does with the facts of a site.
func folder(t *testing.T, repository fs.FS, site, name string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := folderOf(repository, site, name)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}
