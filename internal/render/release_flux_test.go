package render

import (
	"bytes"
	"context"
	"fmt"
	"go/build"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"archipel/internal/chart"
	"archipel/internal/helm"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/builtins" //nolint:staticcheck // helm-controller uses it, and this is what we compare with
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"sigs.k8s.io/yaml"
)

// postRendered takes rendered files the long way: through each text that Helm's
// renderResources and helm-controller's post-renderers make of them, with the same
// libraries. What it returns are the objects by template, hooks included.
func postRendered(t testing.TB, files []helm.File, labels map[string]string) (map[string][]map[string]any, error) {
	t.Helper()
	var nodes []*kyaml.RNode
	for _, f := range files { // annotateAndMerge
		documents := releaseutil.SplitManifests(f.Text)
		keys := slices.Collect(maps.Keys(documents))
		sort.Sort(releaseutil.BySplitManifestsOrder(keys))
		for _, key := range keys {
			parsed, err := kio.ParseAll(documents[key])
			if err != nil {
				return nil, err
			}
			for _, node := range parsed {
				if err := node.PipeE(kyaml.SetAnnotation(templateAnnotation, f.Path)); err != nil {
					return nil, err
				}
				nodes = append(nodes, node)
			}
		}
	}
	merged, err := kio.StringAll(nodes)
	if err != nil {
		return nil, err
	}
	resources, err := resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory()).NewResMapFromBytes([]byte(merged))
	if err != nil {
		return nil, err
	}
	transformer := &builtins.LabelTransformerPlugin{Labels: labels, FieldSpecs: []types.FieldSpec{{Path: "metadata/labels", CreateIfNotPresent: true}}}
	if err := transformer.Transform(resources); err != nil {
		return nil, err
	}
	text, err := resources.AsYaml()
	if err != nil {
		return nil, err
	}
	if nodes, err = kio.ParseAll(string(text)); err != nil { // splitAndDeannotate
		return nil, err
	}
	byFile := map[string][]*kyaml.RNode{}
	for _, node := range nodes {
		name := node.GetAnnotations()[templateAnnotation]
		if err := node.PipeE(kyaml.ClearAnnotation(templateAnnotation)); err != nil {
			return nil, err
		}
		byFile[name] = append(byFile[name], node)
	}
	texts := map[string]string{}
	for name, nodes := range byFile {
		if texts[name], err = kio.StringAll(nodes); err != nil {
			return nil, err
		}
	}
	hooks, manifests, err := releaseutil.SortManifests(texts, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	objects := map[string][]map[string]any{}
	add := func(name, text string) error {
		data, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			return err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(data); err != nil {
			return err
		}
		objects[name] = append(objects[name], object.Object)
		return nil
	}
	for _, h := range hooks {
		if err := add(h.Path, h.Manifest); err != nil {
			return nil, err
		}
	}
	for _, m := range manifests {
		if err := add(m.Name, m.Content); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// sameAsFlux renders a release and holds its objects to those of postRendered.
func sameAsFlux(t *testing.T, s scene) {
	t.Helper()
	out, _ := s.rendered(t)
	c, err := helm.Load(s.charts["values"].Chart())
	if err != nil {
		t.Fatal(err)
	}
	in := s.input(t)
	rendered, err := c.Render(context.Background(), helm.Release{
		Name: out.release.ReleaseName, Namespace: out.release.TargetNamespace, Values: out.release.Values, KubeVersion: in.kubeVersion, APIVersions: in.apiVersions,
	})
	if err != nil {
		t.Fatal(err)
	}
	want, err := postRendered(t, rendered.Files, map[string]string{originNameLabel: "app", originSpaceLabel: "flux-system"})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out.objects {
		if o.Origin.CRD {
			continue
		}
		found := slices.IndexFunc(want[o.Origin.Template], func(w map[string]any) bool {
			u := unstructured.Unstructured{Object: w}
			return u.GetKind() == o.GetKind() && u.GetName() == o.GetName() && u.GetAPIVersion() == o.GetAPIVersion()
		})
		if found < 0 {
			t.Errorf("%s of %s: Flux has none", o.name(), o.Origin.Template)
			continue
		}
		w := unstructured.Unstructured{Object: want[o.Origin.Template][found]}
		want[o.Origin.Template] = slices.Delete(want[o.Origin.Template], found, found+1)
		if !o.Origin.Hook { // setMetadataVisitor of Helm
			labels, annotations := w.GetLabels(), w.GetAnnotations()
			if labels == nil {
				labels = map[string]string{}
			}
			if annotations == nil {
				annotations = map[string]string{}
			}
			labels[managedBy], annotations[ownerName], annotations[ownerNamespace] = "Helm", out.release.ReleaseName, out.release.TargetNamespace
			w.SetLabels(labels)
			w.SetAnnotations(annotations)
		}
		if w.GetNamespace() == "" && o.GetNamespace() != "" {
			w.SetNamespace(o.GetNamespace()) // tested by TestReleaseObjects
		}
		if !reflect.DeepEqual(o.Object, w.Object) {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", o.name(), written(t, []*Object{o}), written(t, []*Object{{Unstructured: &w}}))
		}
	}
	for name, left := range want {
		for _, w := range left {
			t.Errorf("%s: missing %v %v", name, w["kind"], w["metadata"])
		}
	}
}

// inUse returns a scene of a chart of the tree, with the values of site-a.
func inUse(t testing.TB, name string) scene {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, "kubernetes", "flux", "apps", name, "app", "release.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for variable, value := range map[string]string{"site_name": "site-a", "cluster_id": "1", "native_routing_cidr": "10.0.0.0/8",
		"node_interface": "eth0", "mtu": "1500", "mesh_max_clusters": "255", "mesh_api_address": "198.51.100.200", "cilium_version": "1.x", "metallb_version": "1.x"} {
		data = bytes.ReplaceAll(data, []byte("${"+variable+"}"), []byte(value))
	}
	s := sceneOf(t, string(data)+repositoryObject)
	s.objects[0].SetName("app")
	spec := s.objects[0].Object["spec"].(map[string]any)
	delete(spec, "valuesFrom")
	template := spec["chart"].(map[string]any)["spec"].(map[string]any)
	template["chart"], template["sourceRef"] = "values", map[string]any{"kind": "HelmRepository", "name": "charts"}
	dir := filepath.Join(repository, "kubernetes", "flux", "apps", name, "chart")
	if of, ok := map[string][2]string{"cilium": {"github.com/cilium/cilium", "install/kubernetes/cilium"}, "metallb": {"go.universe.tf/metallb", "charts/metallb"}}[name]; ok {
		pins, err := os.ReadFile(filepath.Join(repository, "lab", "manifests", "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		pin := regexp.MustCompile(regexp.QuoteMeta(of[0]) + ` (v\S+)`).FindSubmatch(pins)
		if pin == nil {
			t.Fatalf("lab/manifests/go.mod does not pin %s", of[0])
		}
		cache := os.Getenv("GOMODCACHE")
		if cache == "" {
			cache = filepath.Join(build.Default.GOPATH, "pkg", "mod")
		}
		dir = filepath.Join(cache, filepath.FromSlash(of[0])+"@"+string(pin[1]), filepath.FromSlash(of[1]))
	}
	files, err := treeOf(os.DirFS(dir))
	if err != nil {
		t.Skipf("%s is not in the module cache: archipel lab build fetches it", name)
	}
	content, err := files.below("")
	if err != nil || len(content) == 0 {
		t.Fatal(err)
	}
	if content, err = helm.Ignore(content); err != nil {
		t.Fatal(err)
	}
	p := &chart.Package{Name: name, Version: "1.0.0", Digest: fmt.Sprintf("sha256:%x", digestOf(content))}
	for _, f := range content {
		p.Files = append(p.Files, chart.File{Name: name + "/" + f.Name, Data: f.Data})
	}
	s.charts = fakeCharts{"values": p}
	return s
}

func TestChartsInUseAreAsFluxInstallsThem(t *testing.T) {
	for _, name := range []string{"cilium", "metallb", "whoami"} {
		t.Run(name, func(t *testing.T) { sameAsFlux(t, inUse(t, name)) })
	}
}

// TestOddObjectsAreAsFluxInstallsThem has YAML that parsers read in different ways.
func TestOddObjectsAreAsFluxInstallsThem(t *testing.T) {
	before, _, _ := strings.Cut(valuesChart, "-- templates/a.yaml --\n")
	for name, object := range map[string]string{
		"words":        "data: {a: yes, b: no, c: on, d: Off, e: y, f: n, g: true, h: FALSE, i: null, j: ~, k: '', l: , m: Null, 'y': z}",
		"numbers":      "data: {a: 010, b: 0o10, c: 0x1F, d: 0b11, e: 1_000, f: 1e3, g: 1.0, h: 1.5, i: -0.0, j: 12345678901234567890, k: 9223372036854775807, l: 1e30, m: 1e-7, n: 190:20:30, o: +1, p: .5, q: 123456789012345678901234567890}",
		"texts":        "data: {a: '010', b: \"0o10\", c: '1e3', d: 'yes', e: '2020-01-02', f: '1_000', g: '0x1F', h: '~', i: '<<', j: '=', k: '.inf', l: '190:20:30', m: 'null', n: ' x ', o: \"a\\tb\\u00e9\\n\", p: '12345678901234567890', q: '1:2', r: 'n', s: '0b1', t: '1.0', u: '-', v: '0o17', w: 'True', x: '!a', y: '&a', z: '*a'}",
		"dates":        "data: {a: 2020-01-02, b: 2020-01-02T03:04:05Z, c: 2020-01-02T03:04:05.678+02:00, d: 2020-01-02 03:04:05}",
		"blocks":       "data:\n  a: |\n    one\n    two\n  b: |-\n    one\n\n    two\n  c: >\n    one\n    two\n\n    three\n  d: |+\n    one\n\n  e: |2\n      indented\n  f: \"x\\\n    y\"\n",
		"anchors":      "data: &d {a: &a x, b: *a}\nmore:\n  <<: *d\n  c: 1\n",
		"binary":       "data: {a: !!binary aGVsbG8=, b: !!str 1, c: !!int '5', d: !!float 1}",
		"keys":         "data: {'1': a, 'true': b, 'yes': c, 'null': d, '~': e, a.b/c: f, ? g : h}",
		"empty":        "data: {}\nlist: []\nmap: {a: {}, b: []}",
		"labels":       "metadata2: {}\ndata: {a: 1}",
		"crlf":         "data:\r\n  a: |\r\n    one\r\n    two\r\n",
		"unicode":      "data: {a: é, b: '日本', c: \"\\U0001F600\", d: \"\\x41\"}",
		"comment":      "# a comment\ndata: {a: b} # another\n# the end",
		"deep lists":   "data: [[1, [2]], [{a: [b]}], null]",
		"tab in text":  "data: {a: \"\\t\", b: 'a\tb'}",
		"long text":    "data: {a: '" + strings.Repeat("word ", 60) + "'}",
		"looks a list": "items: {a: b}",
	} {
		t.Run(name, func(t *testing.T) {
			s := sceneOf(t, releaseWith("")+repositoryObject)
			s.charts = fakeCharts{"values": packed("values", "1.0.0", before+"-- templates/a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd, labels: {app: 'x'}}\n"+object+"\n")}
			sameAsFlux(t, s)
		})
	}
	for name, metadata := range map[string]string{
		"empty annotations": "{name: odd, annotations: {}}", "null annotations": "{name: odd, annotations: null}", "null labels": "{name: odd, labels: null}",
		"annotations no text": "{name: odd, annotations: {a: 1, b: c}}", "labels no text": "{name: odd, labels: {a: 1, b: 'c'}}", "annotation null": "{name: odd, annotations: {a: null, b: c}}", "words": "{name: odd, labels: {a: yes}, annotations: {b: on}}",
		"a namespace": "{name: odd, namespace: other}", "name a number": "{name: '1'}",
	} {
		t.Run("metadata, "+name, func(t *testing.T) {
			s := sceneOf(t, releaseWith("")+repositoryObject)
			s.charts = fakeCharts{"values": packed("values", "1.0.0", before+"-- templates/a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: "+metadata+"\n---\n\n---\n# nothing\n---apiVersion: v1\nkind: Secret\nmetadata: {name: second}\n")}
			sameAsFlux(t, s)
		})
	}
}

// TestRefusedAsFluxRefuses has objects that Flux does not install.
func TestRefusedAsFluxRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"key no text":      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {true: a}\n",
		"key a number":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: {1: a}}\n",
		"duplicate key":    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: a, a: b}\n",
		"duplicate object": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: default}\n",
		"no kind":          "apiVersion: v1\nmetadata: {name: x}\n",
		"no name":          "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: x}\n",
		"a text":           "text\n",
		"a list":           "- a\n",
		"not a number":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: .nan}\n",
		"tab":              "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: x\n",
	} {
		if _, err := postRendered(t, []helm.File{{Path: "a", Text: text}}, map[string]string{originNameLabel: "x"}); err == nil {
			t.Errorf("%s: Flux would take it", name)
		}
		before, _, _ := strings.Cut(valuesChart, "-- templates/a.yaml --\n")
		s := sceneOf(t, releaseWith("")+repositoryObject)
		s.charts = fakeCharts{"values": packed("values", "1.0.0", before+"-- templates/a.yaml --\n"+text)}
		if out := s.render(t); len(out.findings) != 1 || out.release.Rendered {
			t.Errorf("%s: taken: %+v", name, out.findings)
		}
	}
}

// BenchmarkReleases installs cilium and metallb on 200 sites, whose values differ as those
// of the tree do.
func BenchmarkReleases(b *testing.B) {
	scenes := []scene{inUse(b, "cilium"), inUse(b, "metallb")}
	b.ReportAllocs()
	for b.Loop() {
		renderers := []*Renderer{New(Config{Charts: scenes[0].charts}), New(Config{Charts: scenes[1].charts})}
		for site := range 200 {
			for i, s := range scenes {
				in := s.input(b)
				in.object = &Object{Unstructured: in.object.DeepCopy()}
				if i == 0 {
					if err := unstructured.SetNestedMap(in.object.Object, map[string]any{"name": fmt.Sprint("site-", site), "id": int64(site + 1)}, "spec", "values", "cluster"); err != nil {
						b.Fatal(err)
					}
				}
				if out := renderers[i].release(context.Background(), in); !out.release.Rendered {
					b.Fatal(out.findings, out.skipped)
				}
			}
		}
	}
}
