package helm

import (
	"bytes"
	"context"
	"go/build"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"archipel/internal/chart"

	"golang.org/x/tools/txtar"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

const repository = "../.."

// folder reads the files of a folder, as a chart in Git is read.
func folder(t testing.TB, dir string) []chart.File {
	t.Helper()
	var files []chart.File
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		relative, _ := filepath.Rel(dir, name)
		files = append(files, chart.File{Name: filepath.ToSlash(relative), Data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files, err = Ignore(files)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// module finds a folder of a Go module that lab/manifests pins.
func module(t testing.TB, path, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, "lab", "manifests", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(regexp.QuoteMeta(path) + ` (v\S+)`).FindSubmatch(data)
	if version == nil {
		t.Fatalf("lab/manifests/go.mod does not pin %s", path)
	}
	cache := os.Getenv("GOMODCACHE")
	if cache == "" {
		cache = filepath.Join(build.Default.GOPATH, "pkg", "mod")
	}
	found := filepath.Join(cache, filepath.FromSlash(path)+"@"+string(version[1]), filepath.FromSlash(dir))
	if _, err := os.Stat(found); err != nil {
		t.Skipf("%s is not in the module cache: archipel lab build fetches it", path)
	}
	return found
}

func load(t testing.TB, files []chart.File) *Chart {
	t.Helper()
	c, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// values reads YAML as helm-controller does.
func values(t testing.TB, text string) map[string]any {
	t.Helper()
	v := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func versions() []string { return []string{"v1", "apps/v1", "apps/v1/Deployment", "batch/v1/CronJob"} }

// helm renders with Helm's own engine, from nothing.
func helm(t testing.TB, files []chart.File, r Release) (map[string]string, error) {
	t.Helper()
	var buffered []*archive.BufferedFile
	for _, f := range files {
		buffered = append(buffered, &archive.BufferedFile{Name: f.Name, Data: f.Data})
	}
	c, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependencies(c, r.Values); err != nil {
		return nil, err
	}
	kube := common.KubeVersion{Version: r.KubeVersion, Major: "1", Minor: "36"}
	capabilities := &common.Capabilities{KubeVersion: kube, APIVersions: r.APIVersions, HelmVersion: common.DefaultCapabilities.HelmVersion}
	v, err := util.ToRenderValues(c, r.Values, common.ReleaseOptions{Name: r.Name, Namespace: r.Namespace, Revision: 1, IsInstall: true}, capabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(c, v)
	for name, text := range rendered {
		if strings.HasSuffix(name, "NOTES.txt") || strings.TrimSpace(text) == "" {
			delete(rendered, name)
		}
	}
	return rendered, err
}

// same renders with both, twice with ours, and compares byte by byte.
func same(t *testing.T, files []chart.File, r Release) {
	t.Helper()
	want, err := helm(t, files, r)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 {
		t.Fatal("Helm renders nothing")
	}
	c := load(t, files)
	for range 2 {
		got, err := c.Render(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		left := maps.Clone(want)
		for _, f := range got.Files {
			text, ok := left[f.Path]
			delete(left, f.Path)
			if !ok || text != f.Text {
				t.Errorf("%s:\ngot\n%s\nwant\n%s", f.Path, f.Text, text)
			}
		}
		for name := range left {
			t.Errorf("%s is missing", name)
		}
	}
}

func siteValues(t testing.TB, app string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, "kubernetes", "flux", "apps", app, "app", "release.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"site_name": "site-a", "cluster_id": "1", "native_routing_cidr": "10.0.0.0/8",
		"node_interface": "eth0", "mtu": "1500", "mesh_max_clusters": "255", "mesh_api_address": "198.51.100.200"} {
		data = bytes.ReplaceAll(data, []byte("${"+name+"}"), []byte(value))
	}
	release := values(t, string(data))
	return release["spec"].(map[string]any)["values"].(map[string]any)
}

type used struct {
	name, namespace string
	files           func(testing.TB) []chart.File
}

// inUse are the charts of the tree.
func inUse() []used {
	return []used{
		{"cilium", "kube-system", func(t testing.TB) []chart.File {
			return folder(t, module(t, "github.com/cilium/cilium", "install/kubernetes/cilium"))
		}},
		{"metallb", "metallb-system", func(t testing.TB) []chart.File {
			return folder(t, module(t, "go.universe.tf/metallb", "charts/metallb"))
		}},
		{"whoami", "whoami", func(t testing.TB) []chart.File {
			return folder(t, filepath.Join(repository, "kubernetes", "flux", "apps", "whoami", "chart"))
		}},
	}
}

func TestChartsInUseAreByteIdentical(t *testing.T) {
	for _, u := range inUse() {
		t.Run(u.name, func(t *testing.T) {
			files := u.files(t)
			r := Release{Name: u.name, Namespace: u.namespace, Values: siteValues(t, u.name), KubeVersion: "v1.36.4+k3s1", APIVersions: versions()}
			same(t, files, r)
			r.Values = map[string]any{}
			if u.name != "cilium" { // its defaults make certificates
				same(t, files, r)
			}
		})
	}
}

// TestSyntheticChartsAreByteIdentical renders the charts of testdata, one archive each. The
// sections values*.yaml beside the chart are the user's.
func TestSyntheticChartsAreByteIdentical(t *testing.T) {
	names, err := filepath.Glob("testdata/same/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal(err, names)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			files, users := chartOf(t, name)
			for _, u := range users {
				same(t, files, Release{Name: "one", Namespace: "ns", Values: values(t, u), KubeVersion: "v1.36.4+k3s1", APIVersions: versions()})
			}
		})
	}
}

func chartOf(t testing.TB, name string) (files []chart.File, users []string) {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		if inside, ok := strings.CutPrefix(f.Name, "chart/"); ok {
			files = append(files, chart.File{Name: inside, Data: f.Data})
		} else {
			users = append(users, string(f.Data))
		}
	}
	if len(users) == 0 {
		users = []string{""}
	}
	return files, users
}

// TestFunctionsAreHelms compares the names: a function that Helm has and we lack would be
// an error in a chart that works.
func TestFunctionsAreHelms(t *testing.T) {
	known := func(name string) bool {
		_, err := helm(t, []chart.File{
			{Name: "Chart.yaml", Data: []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n")},
			{Name: "templates/a", Data: []byte("{{ if false }}{{ " + name + " }}{{ end }}")},
		}, Release{})
		return err == nil || !strings.Contains(err.Error(), "not defined")
	}
	all := functions()
	maps.Copy(all, (*run)(nil).late(all, nil, nil))
	for name := range all {
		if !known(name) {
			t.Errorf("Helm has no %s", name)
		}
	}
	for _, name := range []string{"env", "expandenv", tickName, enterName, leaveName, shownName} {
		if all[name] != nil || known(name) {
			t.Errorf("there is %s", name)
		}
	}
	var late []string
	for name := range (*run)(nil).late(functions(), nil, nil) {
		if functions()[name] == nil {
			late = append(late, name)
		}
	}
	if len(late) > 0 {
		t.Errorf("bound and not known: %v", slices.Sorted(slices.Values(late)))
	}
}

func BenchmarkRender(b *testing.B) {
	for _, u := range inUse() {
		b.Run(u.name, func(b *testing.B) {
			c := load(b, u.files(b))
			r := Release{Name: u.name, Namespace: u.namespace, Values: siteValues(b, u.name), KubeVersion: "v1.36.4+k3s1", APIVersions: versions()}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Render(context.Background(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
