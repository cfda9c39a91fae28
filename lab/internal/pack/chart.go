package pack

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	repo "helm.sh/helm/v4/pkg/repo/v1"
)

// chartSource says where a Go module keeps its Helm chart.
type chartSource struct{ module, dir string }

func chartSources() []chartSource {
	return []chartSource{
		{"github.com/cilium/cilium", "install/kubernetes/cilium"},
		{"go.universe.tf/metallb", "charts/metallb"},
	}
}

// writeChart packages the chart as `helm package` does and writes a repository
// that holds it alone: charts/<name>/index.yaml and the archive.
func writeChart(content string, m Module, dir string, log *slog.Logger) (Chart, error) {
	released, err := m.released()
	if err != nil {
		return Chart{}, err
	}
	c, err := loader.LoadDir(filepath.Join(m.Dir, filepath.FromSlash(dir)))
	if err != nil {
		return Chart{}, err
	}
	if err := complete(c); err != nil {
		return Chart{}, err
	}
	setVersion(c.Metadata, m, log)
	stamp(c, released)

	folder := path.Join("charts", c.Name())
	archive, err := chartutil.Save(c, filepath.Join(content, filepath.FromSlash(folder)))
	if err != nil {
		return Chart{}, err
	}
	data, err := os.ReadFile(archive)
	if err != nil {
		return Chart{}, err
	}
	sum := sha256.Sum256(data)
	file, digest := filepath.Base(archive), hex.EncodeToString(sum[:])

	index := repo.NewIndexFile()
	index.Generated = released
	if err := index.MustAdd(c.Metadata, file, "", digest); err != nil {
		return Chart{}, err
	}
	for _, version := range index.Entries[c.Name()] {
		version.Created = released
	}
	if err := index.WriteFile(filepath.Join(filepath.Dir(archive), "index.yaml"), 0o644); err != nil {
		return Chart{}, err
	}
	return Chart{Name: c.Name(), Version: c.Metadata.Version, File: path.Join(folder, file), Digest: digest}, nil
}

// complete fails when a dependency is not vendored in the module. helm package
// fetches what is missing; here there is no network, and Helm refuses to install
// an incomplete chart even when the dependency is switched off.
func complete(c *chart.Chart) error {
	for _, want := range c.Metadata.Dependencies {
		if !slices.ContainsFunc(c.Dependencies(), func(d *chart.Chart) bool { return d.Name() == want.Name }) {
			return fmt.Errorf("its dependency %s %s is not in the module: the chart cannot be packed without a network", want.Name, want.Version)
		}
	}
	return nil
}

// setVersion gives the chart the version of its module, as the release jobs of
// both projects do: between two releases their Chart.yaml holds a placeholder
// (0.0.0, or the next minor with -dev). The files of a released module already
// agree, and nothing changes. An appVersion keeps its v if it has one.
func setVersion(meta *chart.Metadata, m Module, log *slog.Logger) {
	version := strings.TrimPrefix(m.Version, "v")
	app := version
	if strings.HasPrefix(meta.AppVersion, "v") {
		app = "v" + version
	}
	if meta.Version == version && meta.AppVersion == app {
		return
	}
	log.Info("chart takes the version of its module", "chart", meta.Name,
		"from", meta.Version, "to", version, "app from", meta.AppVersion, "app to", app)
	meta.Version, meta.AppVersion = version, app
}

// stamp removes what differs from one machine or run to the next: the times of
// the files (when they were unpacked), and the order of the dependencies (the
// loader keeps them in a map).
func stamp(c *chart.Chart, t time.Time) {
	c.ModTime, c.SchemaModTime = t, t
	for _, files := range [][]*common.File{c.Raw, c.Templates, c.Files} {
		for _, f := range files {
			f.ModTime = t
		}
	}
	if c.Lock != nil && c.Lock.Generated.IsZero() {
		c.Lock.Generated = t
	}
	dependencies := slices.SortedFunc(slices.Values(c.Dependencies()), func(a, b *chart.Chart) int {
		return cmp.Compare(a.Name(), b.Name())
	})
	for _, d := range dependencies {
		stamp(d, t)
	}
	c.SetDependencies(dependencies...)
}
