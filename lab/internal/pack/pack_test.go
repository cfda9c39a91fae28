package pack_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	repo "helm.sh/helm/v4/pkg/repo/v1"

	"archipel/lab/internal/labtest"
	"archipel/lab/internal/pack"
)

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// The second pack is made from copies of the charts whose files have other times,
// from modules in another order.
func TestSameModulesGiveTheSameBytes(t *testing.T) {
	modules := labtest.Modules(t)
	first, second := filepath.Join(t.TempDir(), "pack"), filepath.Join(t.TempDir(), "pack")
	if _, err := pack.Write(first, modules, silent()); err != nil {
		t.Fatal(err)
	}
	copies := slices.Clone(modules)
	for i, m := range copies {
		for path, dir := range map[string]string{"github.com/cilium/cilium": "install/kubernetes/cilium", "go.universe.tf/metallb": "charts/metallb"} {
			if m.Path == path {
				copies[i].Dir = t.TempDir()
				if err := os.CopyFS(filepath.Join(copies[i].Dir, dir), os.DirFS(filepath.Join(m.Dir, dir))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	slices.Reverse(copies)
	want := digests(t, first)
	if len(want) < 8 {
		t.Fatalf("the pack holds %d files only", len(want))
	}
	// Twice, so that a pack also takes the place of an earlier one.
	for range 2 {
		if _, err := pack.Write(second, copies, silent()); err != nil {
			t.Fatal(err)
		}
		if got := digests(t, second); !maps.Equal(want, got) {
			t.Fatalf("two packs of the same modules differ:\n%v\n%v", want, got)
		}
	}
}

func digests(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		sums[strings.TrimPrefix(path, dir)] = digest(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func digest(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func TestChartsAreWhatHelmReads(t *testing.T) {
	modules := labtest.Modules(t)
	out := filepath.Join(t.TempDir(), "pack")
	manifest, err := pack.Write(out, modules, silent())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		module       string
		dependencies []string
	}{
		"cilium":  {module: "github.com/cilium/cilium"},
		"metallb": {module: "go.universe.tf/metallb", dependencies: []string{"crds", "frr-k8s"}},
	} {
		version := strings.TrimPrefix(version(t, modules, want.module), "v")
		index, err := repo.LoadIndexFile(filepath.Join(out, "charts", name, "index.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if len(index.Entries) != 1 {
			t.Errorf("%s: the index lists %d charts, want its own only", name, len(index.Entries))
		}
		entry, err := index.Get(name, version)
		if err != nil {
			t.Fatalf("%s %s: %v", name, version, err)
		}
		archive := filepath.Join(out, "charts", name, entry.URLs[0])
		if got := digest(t, archive); got != entry.Digest {
			t.Errorf("%s: the index says digest %s, the archive has %s", name, entry.Digest, got)
		}
		if !slices.ContainsFunc(manifest.Charts, func(c pack.Chart) bool {
			return c.Name == name && c.Version == version && c.Digest == entry.Digest && filepath.Join(out, c.File) == archive
		}) {
			t.Errorf("%s %s is not in the list of the pack: %+v", name, version, manifest.Charts)
		}
		chart, err := loader.LoadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimPrefix(chart.Metadata.AppVersion, "v") != version {
			t.Errorf("%s: appVersion %s, want %s", name, chart.Metadata.AppVersion, version)
		}
		var dependencies []string
		for _, d := range chart.Dependencies() {
			dependencies = append(dependencies, d.Name())
		}
		slices.Sort(dependencies)
		if !slices.Equal(dependencies, want.dependencies) {
			t.Errorf("%s: dependencies %v, want %v", name, dependencies, want.dependencies)
		}
		if len(chart.Templates) == 0 || chart.Schema == nil || len(chart.Values) == 0 {
			t.Errorf("%s: templates, schema or values are missing", name)
		}
	}
}

func TestFluxArtifactHoldsWhatFluxInstalls(t *testing.T) {
	modules := labtest.Modules(t)
	out := filepath.Join(t.TempDir(), "pack")
	manifest, err := pack.Write(out, modules, silent())
	if err != nil {
		t.Fatal(err)
	}
	flux := version(t, modules, "github.com/fluxcd/flux2/v2")
	artifact := manifest.Artifacts[0]
	if want := "ghcr.io/fluxcd/flux-manifests:" + flux; artifact.Reference != want {
		t.Errorf("reference %s, want %s", artifact.Reference, want)
	}

	components := components(t, filepath.Join(out, "registries", "ghcr.io"))
	if !strings.Contains(components, "# Flux Version: "+flux+"\n") {
		t.Error("the manifests do not say the version of Flux")
	}
	bases := filepath.Join(dir(t, modules, "github.com/fluxcd/flux2/v2"), "manifests", "bases")
	var images []string
	crds := 0
	for _, name := range []string{"helm-controller", "kustomize-controller", "notification-controller", "source-controller"} {
		// The image is that of the release which Flux's own base names.
		base, err := os.ReadFile(filepath.Join(bases, name, "kustomization.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		release := regexp.MustCompile(`/releases/download/(v[^/]+)/`).FindSubmatch(base)
		images = append(images, "ghcr.io/fluxcd/"+name+":"+string(release[1]))
		files, err := filepath.Glob(filepath.Join(dir(t, modules, "github.com/fluxcd/"+name), "config", "crd", "bases", "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		crds += len(files)
	}
	if !slices.Equal(artifact.Images, images) {
		t.Errorf("images %v, want %v", artifact.Images, images)
	}
	for kind, want := range map[string]int{"CustomResourceDefinition": crds, "Deployment": 4, "Namespace": 1, "NetworkPolicy": 3, "ClusterRoleBinding": 2} {
		if got := strings.Count(components, "\nkind: "+kind+"\n"); got != want {
			t.Errorf("%d of kind %s, want %d", got, kind, want)
		}
	}
	// The source of args that only install.Generate sets.
	if !strings.Contains(components, "--events-addr=http://notification-controller.$(RUNTIME_NAMESPACE).svc.cluster.local./") {
		t.Error("the generator of Flux did not set the address of events")
	}
	if len(manifest.LeftOut) != 3 {
		t.Errorf("left out %v, want the three components whose modules are not given", manifest.LeftOut)
	}
}

// components returns the one file of the one layer of the one artefact.
func components(t *testing.T, dir string) string {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := index.Image(list.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(manifest.Config.MediaType); got != "application/vnd.cncf.flux.config.v1+json" {
		t.Errorf("config type %s", got)
	}
	if got := string(manifest.Layers[0].MediaType); got != "application/vnd.cncf.flux.content.v1.tar+gzip" {
		t.Errorf("layer type %s", got)
	}
	for _, name := range []string{"created", "source", "revision"} {
		if manifest.Annotations["org.opencontainers.image."+name] == "" {
			t.Errorf("annotation %s is missing", name)
		}
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	compressed, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer compressed.Close()
	plain, err := gzip.NewReader(compressed)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			t.Fatal("no gotk-components.yaml in the layer")
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name == "gotk-components.yaml" {
			data, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
	}
}

func TestPackRefuses(t *testing.T) {
	modules := labtest.Modules(t)
	without := func(path string) []pack.Module {
		return slices.DeleteFunc(slices.Clone(modules), func(m pack.Module) bool { return m.Path == path })
	}
	with := func(path string, change func(*pack.Module)) []pack.Module {
		changed := slices.Clone(modules)
		for i := range changed {
			if changed[i].Path == path {
				change(&changed[i])
			}
		}
		return changed
	}
	occupied := t.TempDir()
	if err := os.WriteFile(filepath.Join(occupied, "thesis.txt"), []byte("work"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		modules []pack.Module
		out     string
		want    string
	}{
		{"missing chart module", without("go.universe.tf/metallb"), "", "module go.universe.tf/metallb is missing"},
		{"missing default component", without("github.com/fluxcd/source-controller"), "", "module github.com/fluxcd/source-controller is missing"},
		{"dependency that is not vendored", with("go.universe.tf/metallb", func(m *pack.Module) {
			source := filepath.Join(m.Dir, "charts", "metallb")
			m.Dir = t.TempDir()
			target := filepath.Join(m.Dir, "charts", "metallb")
			if err := os.CopyFS(target, os.DirFS(source)); err != nil {
				t.Fatal(err)
			}
			archives, err := filepath.Glob(filepath.Join(target, "charts", "frr-k8s-*.tgz"))
			if err != nil || len(archives) != 1 {
				t.Fatal(archives, err)
			}
			if err := os.Remove(archives[0]); err != nil {
				t.Fatal(err)
			}
		}), "", "its dependency frr-k8s"},
		{"folder that is no pack", modules, occupied, "holds no earlier pack"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := test.out
			if out == "" {
				out = filepath.Join(t.TempDir(), "pack")
			}
			_, err := pack.Write(out, test.modules, silent())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one with %q", err, test.want)
			}
			if _, err := os.Stat(filepath.Join(out, pack.ManifestFile)); err == nil {
				t.Error("a failed pack left a list of content behind")
			}
			left, err := filepath.Glob(filepath.Join(filepath.Dir(out), ".pack-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("a failed pack left %v behind (%v)", left, err)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(occupied, "thesis.txt")); err != nil {
		t.Error("the refused folder lost its file")
	}
}

func TestChartTakesTheVersionOfItsModule(t *testing.T) {
	modules := labtest.Modules(t)
	for i, m := range modules {
		if m.Path == "go.universe.tf/metallb" {
			modules[i].Version = "v0.16.3"
		}
	}
	out := filepath.Join(t.TempDir(), "pack")
	if _, err := pack.Write(out, modules, silent()); err != nil {
		t.Fatal(err)
	}
	chart, err := loader.LoadFile(filepath.Join(out, "charts", "metallb", "metallb-0.16.3.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	if chart.Metadata.Version != "0.16.3" || chart.Metadata.AppVersion != "v0.16.3" {
		t.Errorf("version %s, appVersion %s", chart.Metadata.Version, chart.Metadata.AppVersion)
	}
}

func TestReadModules(t *testing.T) {
	for input, want := range map[string]string{
		`{"Path":"a","Version":"v1.0.0","Dir":"/a"}{"Path":"b","Version":"v1.0.0","Error":"410 Gone"}`: "410 Gone",
		`{"Path":"a","Version":"v1.0.0"}`: "pass the output of",
		`{`:                               "reading the modules",
	} {
		if _, err := pack.ReadModules(strings.NewReader(input)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", input, err, want)
		}
	}
}

func version(t *testing.T, modules []pack.Module, path string) string {
	return find(t, modules, path).Version
}

func dir(t *testing.T, modules []pack.Module, path string) string {
	return find(t, modules, path).Dir
}

func find(t *testing.T, modules []pack.Module, path string) pack.Module {
	t.Helper()
	for _, m := range modules {
		if m.Path == path {
			return m
		}
	}
	t.Fatalf("no module %s", path)
	return pack.Module{}
}
