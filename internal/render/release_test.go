package render

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"archipel/internal/chart"
	"archipel/internal/finding"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// fakeCharts are charts by name.
type fakeCharts map[string]*chart.Package

func (f fakeCharts) Get(_ context.Context, reference chart.Reference) (*chart.Package, error) {
	p := f[cmp.Or(reference.Name, reference.Repository)]
	if p == nil {
		return nil, &chart.UnavailableError{Reference: reference, Reason: "it is not in the cache"}
	}
	return p, nil
}

// packed makes a chart of a txtar archive.
func packed(name, version, text string) *chart.Package {
	p := &chart.Package{Name: name, Version: version, Digest: "sha256:0123456789abcdef" + strings.Repeat("0", 48)}
	for _, f := range txtar.Parse([]byte(text)).Files {
		p.Files = append(p.Files, chart.File{Name: name + "/" + f.Name, Data: f.Data})
	}
	p.Digest = fmt.Sprintf("sha256:%x", digest(p.Files))
	return p
}

// scene is a site with one HelmRelease, the first of its objects.
type scene struct {
	objects []*Object
	files   fstest.MapFS
	charts  fakeCharts
}

const releaseFile = "kubernetes/release.yaml"

func sceneOf(t testing.TB, manifests string) scene {
	t.Helper()
	var s scene
	for _, document := range strings.Split(manifests, "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err, document)
		}
		value, err := decodeYAML(document)
		if err != nil {
			t.Fatal(err)
		}
		s.objects = append(s.objects, &Object{Unstructured: &unstructured.Unstructured{Object: value}, Origin: Origin{Position: finding.Position{File: releaseFile, Line: 1}}})
	}
	return s
}

func (s scene) input(t testing.TB) releaseInput {
	t.Helper()
	return releaseInput{
		object: s.objects[0], kubeVersion: "v1.36.4+k3s1", apiVersions: []string{"v1", "apps/v1"},
		find: func(kind, namespace, name string) *Object {
			i := slices.IndexFunc(s.objects, func(o *Object) bool {
				return o.GetKind() == kind && o.GetNamespace() == namespace && o.GetName() == name
			})
			if i < 0 {
				return nil
			}
			return s.objects[i]
		},
		source: func(o *Object) *Source { return &Source{Kind: o.GetKind(), Name: o.GetName()} },
		tree: func(*Object) (*tree, *Skip) {
			files, err := treeOf(s.files)
			if err != nil {
				t.Fatal(err)
			}
			return files, nil
		},
		clusterScoped: func(group, kind string) (bool, bool) {
			return kind == "Namespace" || kind == "ClusterRole", group == "" || group == "rbac.authorization.k8s.io" || group == "apps"
		},
	}
}

func (s scene) render(t testing.TB) releaseOutput {
	t.Helper()
	return New(Config{FS: s.files, Charts: s.charts}).release(context.Background(), s.input(t))
}

// rendered is a release that works; text are its objects as YAML, in order.
func (s scene) rendered(t testing.TB) (out releaseOutput, text string) {
	t.Helper()
	out = s.render(t)
	if len(out.findings) > 0 || !out.release.Rendered {
		t.Fatalf("findings %+v, skipped %+v", out.findings, out.skipped)
	}
	return out, written(t, out.objects)
}

func written(t testing.TB, objects []*Object) string {
	t.Helper()
	var all bytes.Buffer
	for _, o := range objects {
		data, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "---\n%s", data)
	}
	return all.String()
}

// valuesChart is a chart that shows its values.
const valuesChart = `
-- Chart.yaml --
apiVersion: v2
name: values
version: 1.0.0
-- values.yaml --
default: chart
-- extra.yaml --
default: extra
more: 1
-- templates/a.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: '{{ .Release.Name }}{{ .Values.suffix }}'}
data:
  values: {{ toJson .Values | quote }}
  chart: {{ .Chart.Version }}
`

const repositoryObject = `
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: charts, namespace: flux-system}
spec: {url: "https://charts.example"}`

func releaseWith(spec string) string {
	return "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: app, namespace: flux-system}\nspec:\n" +
		"  chart: {spec: {chart: values, version: 1.x, sourceRef: {kind: HelmRepository, name: charts}}}\n" + spec
}

func TestReleaseValues(t *testing.T) {
	sources := `
---
apiVersion: v1
kind: ConfigMap
metadata: {name: first, namespace: flux-system}
data:
  values.yaml: |
    a: {b: first, c: first}
    list: [1, 2]
    num: 1000000
  other: "a: {b: other}"
  text: plain
  quoted: "'1'"
  odd: a,b={c}[d]\e
  list: "{x,y}"
---
apiVersion: v1
kind: Secret
metadata: {name: hidden, namespace: flux-system}
data: {values.yaml: ` + base64.StdEncoding.EncodeToString([]byte("a: {s: secret-one}")) + `}
stringData: {password: secret-two}`
	for name, test := range map[string]struct {
		spec, want string
		secrets    []string
	}{
		"none":             {"", `{"default":"chart"}`, nil},
		"own":              {"  values: {default: own, x: 1, w: 1.5, z: [a], none: null}\n", `{"default":"own","none":null,"w":1.5,"x":1,"z":["a"]}`, nil},
		"null removes":     {"  values: {default: null}\n", `{}`, nil},
		"order":            {"  valuesFrom: [{kind: ConfigMap, name: first}, {kind: ConfigMap, name: first, valuesKey: other}]\n  values: {a: {d: own}}\n", `{"a":{"b":"other","c":"first","d":"own"},"default":"chart","list":[1,2],"num":1000000}`, nil},
		"own wins":         {"  valuesFrom: [{kind: ConfigMap, name: first}]\n  values: {a: {b: own}, list: [3]}\n", `{"a":{"b":"own","c":"first"},"default":"chart","list":[3],"num":1000000}`, nil},
		"optional":         {"  valuesFrom: [{kind: ConfigMap, name: gone, optional: true}, {kind: Secret, name: gone, optional: true}, {kind: ConfigMap, name: first, valuesKey: gone, optional: true}]\n", `{"default":"chart"}`, nil},
		"target":           {"  valuesFrom: [{kind: ConfigMap, name: first, valuesKey: text, targetPath: x.y.z}]\n", `{"default":"chart","x":{"y":{"z":"plain"}}}`, nil},
		"target in own":    {"  valuesFrom: [{kind: ConfigMap, name: first, valuesKey: text, targetPath: x.w}]\n  values: {x: {w: own, z: own}}\n", `{"default":"chart","x":{"w":"plain","z":"own"}}`, nil},
		"target, own wins": {"  valuesFrom: [{kind: ConfigMap, name: first, valuesKey: text, targetPath: x}]\n  values: {x: own}\n", `{"default":"chart","x":"own"}`, nil},
		"target in a list": {"  valuesFrom: [{kind: ConfigMap, name: first, valuesKey: text, targetPath: 'x[1].y'}]\n", `{"default":"chart","x":[null,{"y":"plain"}]}`, nil},
		"target, dots":     {"  valuesFrom: [{kind: ConfigMap, name: first, valuesKey: text, targetPath: 'x.a\\.b'}]\n", `{"default":"chart","x":{"a.b":"plain"}}`, nil},
		"quoted":           {"  valuesFrom: [{kind: ConfigMap, name: first, valuesKey: quoted, targetPath: x}]\n", `{"default":"chart","x":"1"}`, nil},
		"expression":       {"  valuesFrom: [{kind: ConfigMap, name: first, valuesKey: list, targetPath: x}]\n", `{"default":"chart","x":["x","y"]}`, nil},
		"literal":          {"  valuesFrom: [{kind: ConfigMap, name: first, valuesKey: odd, targetPath: x.y, literal: true}]\n", `{"default":"chart","x":{"y":"a,b={c}[d]\\e"}}`, nil},
		"secret":           {"  valuesFrom: [{kind: Secret, name: hidden}, {kind: Secret, name: hidden, valuesKey: password, targetPath: p}]\n", `{"a":{"s":"secret-one"},"default":"chart","p":"secret-two"}`, []string{"secret-one", "secret-two"}},
		"values files": {"  chart: {spec: {chart: values, sourceRef: {kind: HelmRepository, name: charts}, valuesFiles: [values.yaml, ./extra.yaml, gone.yaml], ignoreMissingValuesFiles: true}}\n",
			`{"default":"extra","more":1}`, nil},
		"only a values file": {"  chart: {spec: {chart: values, sourceRef: {kind: HelmRepository, name: charts}, valuesFiles: [gone.yaml], ignoreMissingValuesFiles: true}}\n", `{}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			text := releaseWith(test.spec)
			if strings.Contains(test.spec, "  chart:") {
				text = strings.Replace(text, "  chart: {spec: {chart: values, version: 1.x, sourceRef: {kind: HelmRepository, name: charts}}}\n", "", 1)
			}
			s := sceneOf(t, text+repositoryObject+sources)
			s.charts = fakeCharts{"values": packed("values", "1.0.0", valuesChart)}
			out, _ := s.rendered(t)
			got, _, _ := unstructured.NestedString(out.objects[0].Object, "data", "values")
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if !slices.Equal(out.secrets, test.secrets) || out.release.SecretValues != (test.secrets != nil) {
				t.Errorf("secrets %q", out.secrets)
			}
		})
	}
}

func TestReleaseNames(t *testing.T) {
	for spec, want := range map[string]string{
		"":                           "app flux-system flux-system",
		"  targetNamespace: other\n": "other-app other flux-system",
		"  releaseName: named\n  targetNamespace: other\n  storageNamespace: third\n": "named other third",
		"  releaseName: " + strings.Repeat("x", 60) + "\n":                            strings.Repeat("x", 40) + "-42f2d9733566 flux-system flux-system",
	} {
		s := sceneOf(t, releaseWith(spec)+repositoryObject)
		s.charts = fakeCharts{"values": packed("values", "1.0.0", valuesChart)}
		out, _ := s.rendered(t)
		r := out.release
		if got := r.ReleaseName + " " + r.TargetNamespace + " " + r.StorageNamespace; got != want {
			t.Errorf("%s: got %s, want %s", spec, got, want)
		}
	}
}

// TestReleaseObjects holds what comes to the cluster to what Flux and Helm make of a chart.
func TestReleaseObjects(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/release/objects.txtar")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	var files strings.Builder
	for _, f := range archive.Files {
		if name, ok := strings.CutPrefix(f.Name, "chart/"); ok {
			fmt.Fprintf(&files, "-- %s --\n%s", name, f.Data)
		} else {
			sections[f.Name] = string(f.Data)
		}
	}
	for name, spec := range sections {
		base, ok := strings.CutSuffix(name, ".spec")
		if !ok {
			continue
		}
		t.Run(base, func(t *testing.T) {
			s := sceneOf(t, releaseWith(spec)+repositoryObject)
			s.charts = fakeCharts{"values": packed("objects", "1.0.0", files.String())}
			out, _ := s.rendered(t)
			var got strings.Builder
			for i, o := range out.objects {
				fmt.Fprintf(&got, "# %s hook=%t crd=%t\n%s", o.Origin.Template, o.Origin.Hook, o.Origin.CRD, written(t, out.objects[i:i+1]))
			}
			if want := sections[base+".want"]; got.String() != want {
				if *update {
					for i := range archive.Files {
						if archive.Files[i].Name == base+".want" {
							archive.Files[i].Data = []byte(got.String())
						}
					}
					rewrite(t, "testdata/release/objects.txtar", archive)
				}
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
}

func TestReleaseFindings(t *testing.T) {
	config := "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: flux-system}\ndata: {values.yaml: '- a', canary: 'x[', b: c}"
	secret := "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: flux-system}\nstringData: {values.yaml: '[canary', path: 'canary', message: canary-canary}"
	for name, test := range map[string]struct {
		spec, chart string // chart: a template in place of that of the chart
		rule, says  string // of a finding; a skip when the rule begins with "skip "
	}{
		"no chart":             {"  chart: null\n", "", "helmrelease-invalid", "want one of spec.chart and spec.chartRef"},
		"both":                 {"  chartRef: {kind: HelmChart, name: x}\n", "", "helmrelease-invalid", "want one of"},
		"wrong type":           {"  releaseName: 5\n", "", "helmrelease-invalid", "spec.releaseName must not be a number"},
		"wrong policy":         {"  install: {crds: Always}\n", "", "helmrelease-invalid", "spec.install.crds"},
		"wrong strategy":       {"  postRenderStrategy: x\n", "", "helmrelease-invalid", "spec.postRenderStrategy"},
		"values no map":        {"  values: [a]\n", "", "helmrelease-invalid", "spec.values is no map"},
		"no source":            {"  chart: {spec: {chart: values, sourceRef: {kind: HelmRepository, name: gone}}}\n", "", "source-missing", "HelmRepository flux-system/gone"},
		"source elsewhere":     {"  chart: {spec: {chart: values, sourceRef: {kind: HelmRepository, name: charts, namespace: other}}}\n", "", "source-missing", "other/charts"},
		"wrong source":         {"  chart: {spec: {chart: values, sourceRef: {kind: ConfigMap, name: c}}}\n", "", "helmrelease-invalid", `the kind "ConfigMap"`},
		"wrong reference":      {"  chart: null\n  chartRef: {kind: ConfigMap, name: c}\n", "", "helmrelease-invalid", `the kind "ConfigMap"`},
		"no reference":         {"  chart: null\n  chartRef: {kind: OCIRepository, name: c}\n", "", "source-missing", "OCIRepository flux-system/c"},
		"external":             {"  chart: null\n  chartRef: {kind: ExternalArtifact, name: c}\n", "", "skip source-elsewhere", "in the cluster"},
		"another cluster":      {"  kubeConfig: {secretRef: {name: x}}\n", "", "skip cluster-elsewhere", "another cluster"},
		"not there":            {"  chart: {spec: {chart: none, sourceRef: {kind: HelmRepository, name: charts}}}\n", "", "skip chart-unavailable", "none"},
		"no values":            {"  valuesFrom: [{kind: ConfigMap, name: gone}]\n", "", "values-source-missing", "ConfigMap flux-system/gone"},
		"no key":               {"  valuesFrom: [{kind: ConfigMap, name: c, valuesKey: gone}]\n", "", "values-source-missing", "the key gone"},
		"no secret":            {"  valuesFrom: [{kind: Secret, name: gone}]\n", "", "skip secret-missing", "not in the repository"},
		"values of a list":     {"  valuesFrom: [{kind: ConfigMap, name: c}]\n", "", "values-invalid", "values.yaml of ConfigMap flux-system/c is no map"},
		"values of a kind":     {"  valuesFrom: [{kind: Service, name: c}]\n", "", "helmrelease-invalid", `the kind "Service"`},
		"bad secret":           {"  valuesFrom: [{kind: Secret, name: s}]\n", "", "values-invalid", "Secret flux-system/s is no map"},
		"bad path":             {"  valuesFrom: [{kind: ConfigMap, name: c, valuesKey: b, targetPath: 'a[x].b'}]\n", "", "values-invalid", "cannot be set at a[x].b"},
		"bad path of a secret": {"  valuesFrom: [{kind: Secret, name: s, valuesKey: path, targetPath: 'a[x].b'}]\n", "", "values-invalid", "cannot be set at a[x].b"},
		"said a secret":        {"  valuesFrom: [{kind: Secret, name: s, valuesKey: message, targetPath: a}]\n", `{{ fail .Values.a }}`, "chart-template-failed", "templates/a.yaml:1"},
		"no values file":       {"  chart: {spec: {chart: values, sourceRef: {kind: HelmRepository, name: charts}, valuesFiles: [gone.yaml]}}\n", "", "values-source-missing", "gone.yaml"},
		"template":             {"", "a: {{ fail \"no\" }}", "chart-template-failed", "values/templates/a.yaml:1: no"},
		"no YAML":              {"", "a: b: c", "chart-template-failed", "values/templates/a.yaml: document 1"},
		"no kind":              {"", "metadata: {name: x}", "chart-template-failed", "no kind"},
		"no name":              {"", "apiVersion: v1\nkind: Pod\nmetadata: {generateName: x}", "chart-template-failed", "metadata.name"},
		"key no text":          {"", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {1: a}", "chart-template-failed", "the key 1 is no text"},
		"duplicate key":        {"", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: a, a: b}", "chart-template-failed", "already defined"},
		"aliases":              {"", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\na: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]", "chart-template-failed", "aliasing"},
		"duplicate":            {"", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}", "object-duplicate", "ConfigMap x"},
		"patch":                {"  postRenderers: [{kustomize: {patches: [{patch: 'apiVersion: v1\n\nkind: Pod\n\nmetadata: {name: none}'}]}}]\n", "", "postrenderer-failed", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			text := releaseWith(test.spec)
			if strings.Contains(test.spec, "  chart:") {
				text = strings.Replace(text, "  chart: {spec: {chart: values, version: 1.x, sourceRef: {kind: HelmRepository, name: charts}}}\n", "", 1)
			}
			s := sceneOf(t, text+repositoryObject+config+secret)
			content := valuesChart
			if test.chart != "" {
				before, _, _ := strings.Cut(valuesChart, "-- templates/a.yaml --\n")
				content = before + "-- templates/a.yaml --\n" + test.chart + "\n"
			}
			s.charts = fakeCharts{"values": packed("values", "1.0.0", content)}
			out := s.render(t)
			if out.release.Rendered || len(out.objects) > 0 {
				t.Error("it is rendered")
			}
			rule, says := "", ""
			if len(out.findings) == 1 {
				f := out.findings[0]
				rule, says = f.Rule, f.Message
				if f.Position.File != releaseFile || f.Fix == "" || f.Severity != finding.Error || !strings.Contains(f.Message, "flux-system/app") {
					t.Errorf("got %+v", f)
				}
			} else if len(out.skipped) == 1 {
				rule, says = "skip "+out.skipped[0].Code, out.skipped[0].Reason
			}
			if rule != test.rule || !strings.Contains(says, test.says) {
				t.Errorf("got %s: %s\nwant %s: %s\n%+v %+v", rule, says, test.rule, test.says, out.findings, out.skipped)
			}
			if strings.Contains(says, "canary") || strings.Contains(says, "\n") {
				t.Errorf("it says %q", says)
			}
		})
	}
}

func rewrite(t *testing.T, name string, archive *txtar.Archive) {
	t.Helper()
	if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestReleaseCharts has charts from all the places that charts come from.
func TestReleaseCharts(t *testing.T) {
	gitRepository := "\n---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: git, namespace: flux-system}\nspec: {url: 'https://git.example/x'}"
	inGit := func(spec string) string {
		return "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: app, namespace: flux-system}\nspec:\n  chart: {spec: {sourceRef: {kind: GitRepository, name: git}, " + spec + "}}" + gitRepository
	}
	by := func(ref, object string) string {
		return "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: app, namespace: flux-system}\nspec: {chartRef: {" + ref + "}}\n---\n" + object
	}
	artefact := packed("values", "1.0.0", valuesChart)
	sum := strings.TrimPrefix(artefact.Digest, "sha256:")[:12]
	tree := func(more ...string) fstest.MapFS {
		files := fstest.MapFS{}
		for _, f := range txtar.Parse([]byte(valuesChart)).Files {
			files["charts/values/"+f.Name] = &fstest.MapFile{Data: f.Data}
		}
		for i := 0; i < len(more); i += 2 {
			files[more[i]] = &fstest.MapFile{Data: []byte(more[i+1])}
		}
		return files
	}
	parent := "apiVersion: v2\nname: parent\nversion: 2.0.0\ndependencies:\n  - {name: values, version: 1.x, repository: 'file://../values', alias: local}\n  - {name: values, version: 1.x, repository: 'https://charts.example', alias: remote}\n"
	for name, test := range map[string]struct {
		manifests string
		files     fstest.MapFS
		want      string // name, version, the values that the last object shows; or a finding or skip
	}{
		"git":                   {inGit("chart: ./charts/values"), tree(), `values 1.0.0 {"default":"chart"}`},
		"git, ignored files":    {inGit("chart: charts/values/"), tree("charts/values/.helmignore", "b.yaml\n", "charts/values/templates/b.yaml", "{{ fail }}"), `values 1.0.0 {"default":"chart"}`},
		"git, values files":     {inGit("chart: charts/values, valuesFiles: [one.yaml, charts/values/extra.yaml]"), tree("one.yaml", "one: 1"), `values 1.0.0+1 {"default":"extra","more":1,"one":1}`},
		"git, no values file":   {inGit("chart: charts/values, valuesFiles: [extra.yaml]"), tree(), "values-source-missing"},
		"git, outside":          {inGit("chart: ../../values"), tree(), "chart-missing"},
		"git, no chart":         {inGit("chart: charts/none"), tree(), "chart-missing"},
		"git, no Chart.yaml":    {inGit("chart: charts"), tree(), "chart-unreadable"},
		"git, revision":         {inGit("chart: charts/values, reconcileStrategy: Revision"), tree(), `values 1.0.0 {"default":"chart"} chart-revision`},
		"git, dependencies":     {inGit("chart: charts/parent"), tree("charts/parent/Chart.yaml", parent, "charts/parent/values.yaml", "local: {default: parent}\nremote: {suffix: -remote}\n"), `parent 2.0.0 {"default":"chart","global":{},"suffix":"-remote"}`},
		"git, wrong dependency": {inGit("chart: charts/parent"), tree("charts/parent/Chart.yaml", strings.ReplaceAll(parent, "1.x", "2.x")), "chart-missing"},
		"git, no dependency":    {inGit("chart: charts/parent"), tree("charts/parent/Chart.yaml", strings.ReplaceAll(parent, "../values", "../none")), "chart-missing"},
		"HelmChart": {by("kind: HelmChart, name: c", "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmChart\nmetadata: {name: c, namespace: flux-system}\nspec: {chart: values, sourceRef: {kind: HelmRepository, name: charts}}"+repositoryObject), nil,
			`values 1.0.0 {"default":"chart"}`},
		"OCIRepository": {by("kind: OCIRepository, name: c", "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: c, namespace: flux-system}\nspec: {url: 'oci://charts.example/values', ref: {tag: 1.0.0}}"), nil,
			`values 1.0.0+` + sum + ` {"default":"chart"}`},
		"OCIRepository, another version": {by("kind: OCIRepository, name: c", "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: c, namespace: flux-system}\nspec: {url: 'oci://charts.example/other', ref: {tag: 1.0.1}}"), nil,
			"chart-version-mismatch"},
		"OCIRepository, no URL": {by("kind: OCIRepository, name: c", "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: c, namespace: flux-system}\nspec: {}"), nil, "source-invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sceneOf(t, test.manifests)
			other := *artefact
			other.Version = "1.0.1"
			s.files, s.charts = test.files, fakeCharts{"values": artefact, "oci://charts.example/values": artefact, "oci://charts.example/other": &other}
			out := s.render(t)
			var got []string
			if out.release.Rendered {
				last := out.objects[len(out.objects)-1]
				shown, _, _ := unstructured.NestedString(last.Object, "data", "values")
				got = append(got, out.release.Chart.Name, out.release.Chart.Version, shown)
			}
			for _, f := range out.findings {
				got = append(got, f.Rule)
			}
			for _, skip := range out.skipped {
				got = append(got, skip.Code)
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %s\nwant %s\n%+v", strings.Join(got, " "), test.want, out.findings)
			}
		})
	}
}

// TestReleaseIsRenderedOnce has two sites with equal releases, at the same time: their
// objects are the same.
func TestReleaseIsRenderedOnce(t *testing.T) {
	s := sceneOf(t, releaseWith("")+repositoryObject)
	s.charts = fakeCharts{"values": packed("values", "1.0.0", valuesChart)}
	r := New(Config{Charts: s.charts})
	outs := make([]releaseOutput, 8)
	var group sync.WaitGroup
	for i := range outs {
		in := s.input(t)
		in.object = &Object{Unstructured: in.object.DeepCopy(), Origin: in.object.Origin}
		group.Go(func() { outs[i] = r.release(context.Background(), in) })
	}
	group.Wait()
	for _, out := range outs {
		if len(out.objects) != 1 || out.objects[0].Unstructured != outs[0].objects[0].Unstructured {
			t.Errorf("got %+v", out.objects)
		}
	}
}

func FuzzReleaseValues(f *testing.F) {
	for _, seed := range [][3]string{{"a: {b: 1}", "a.b", "x"}, {"- a", "a[0].b", "{1,2}"}, {"a: &a [*a]", `a\.b[99999999]`, "'q'"}, {"? {a: b} : c", "a[b", `"`}, {"a: 2020-01-01\nb: 1e400", "...", "a=b,c"}} {
		f.Add(seed[0], seed[1], seed[2], true)
		f.Add(seed[0], seed[1], seed[2], false)
	}
	f.Fuzz(func(t *testing.T, text, path, value string, literal bool) {
		s := sceneOf(t, releaseWith("")+repositoryObject)
		s.charts = fakeCharts{"values": packed("values", "1.0.0", valuesChart)}
		spec := s.objects[0].Object["spec"].(map[string]any)
		spec["valuesFrom"] = []any{
			map[string]any{"kind": "ConfigMap", "name": "c"},
			map[string]any{"kind": "ConfigMap", "name": "c", "valuesKey": "v", "targetPath": path, "literal": literal},
		}
		s.objects = append(s.objects, &Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c", "namespace": "flux-system"},
			"data": map[string]any{"values.yaml": text, "v": value},
		}}})
		out := s.render(t)
		if out.release.Rendered == (len(out.findings) > 0) {
			t.Errorf("rendered %t with %+v", out.release.Rendered, out.findings)
		}
	})
}
