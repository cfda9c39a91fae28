// Package helm templates charts exactly as Flux's helm-controller does, parsing each only once.
package helm

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"archipel/internal/chart"
	"archipel/internal/schema"

	helmchart "helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/ignore"
)

// What a chart may weigh, unpacked: its subcharts included. Helm allows 100 MiB for
// each archive, and as much again for each archive in it.
const (
	maxChart   = 100 << 20
	maxArchive = 8 // archives in archives
)

// maxTime bounds one rendering. It is far above what any real chart takes, because the
// deterministic limits of budget come first.
const maxTime = time.Minute

// Chart is a chart that was read. It is never changed, and safe for concurrent use.
type Chart struct {
	chart     *v2.Chart
	templates *templates // shared by the charts that With makes
	schemas   *schema.Store
}

// Release is what a chart is rendered with.
type Release struct {
	Name, Namespace string
	Values          map[string]any // the user's; never changed
	KubeVersion     string         // as the API server says it, for example "v1.36.4+k3s1"
	APIVersions     []string       // of the cluster: "v1", "apps/v1", "apps/v1/Deployment"
	Upgrade         bool           // not the first revision
	SkipSchema      bool           // do not hold the values to the schemas
}

// Rendered is what the templates of a chart made.
type Rendered struct {
	Files []File // by path; partials and notes left out
	CRDs  []File // of the folders crds/, the chart's own first
	// Unsure are the functions the chart called whose result depends on the time, on chance
	// or on the cluster, sorted. What stands in their place is no value they would give.
	Unsure []string
}

// File is a rendered file.
type File struct {
	Path   string // for example "cilium/templates/cilium-agent/daemonset.yaml"
	Text   string
	Unsure []string // of this file; see Rendered
}

// Error says what Helm would refuse.
type Error struct {
	Kind    ErrorKind
	File    string // the chart's file, for example "cilium/templates/validate.yaml"; "" when it is none
	Line    int    // in that file, from 1; 0 means unknown
	Message string // one line
}

// ErrorKind is what an Error is about.
type ErrorKind string

// The kinds of errors.
const (
	BadChart    ErrorKind = "chart"    // it cannot be read, or does not run on this Kubernetes
	BadValues   ErrorKind = "values"   // the values do not fit the chart
	BadTemplate ErrorKind = "template" // a template fails
	BadObject   ErrorKind = "object"   // what a template made is no object
)

// Error returns file:line: message.
func (e *Error) Error() string {
	switch {
	case e.File == "":
		return e.Message
	case e.Line == 0:
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
}

// Load reads a chart. The names of the files are relative to the chart's folder, for
// example "Chart.yaml"; subcharts may be folders or archives. What .helmignore excludes
// must be left out already: Helm does not look at it in an archive.
func Load(files []chart.File) (*Chart, error) {
	left := maxChart
	buffered, err := unpack(files, "", 0, &left)
	if err != nil {
		return nil, &Error{Kind: BadChart, Message: "reading the chart: " + oneLine(err.Error())}
	}
	c, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, &Error{Kind: BadChart, Message: "reading the chart: " + oneLine(err.Error())}
	}
	order(c)
	return &Chart{chart: c, templates: newTemplates(), schemas: schema.New()}, nil
}

// unpack replaces archives of subcharts by their files, so that their sum is bounded.
func unpack(files []chart.File, folder string, depth int, left *int) ([]*archive.BufferedFile, error) {
	if depth > maxArchive {
		return nil, fmt.Errorf("%s: archives stand in archives, more than %d deep", folder, maxArchive)
	}
	var all []*archive.BufferedFile
	for _, f := range files {
		name := folder + f.Name
		if *left -= len(f.Data); *left < 0 {
			return nil, fmt.Errorf("the chart has more than %d MiB", maxChart>>20)
		}
		if !strings.HasSuffix(name, ".tgz") || path.Base(path.Dir(name)) != "charts" || strings.HasPrefix(path.Base(name), "_") || strings.HasPrefix(path.Base(name), ".") {
			all = append(all, &archive.BufferedFile{Name: name, Data: f.Data})
			continue
		}
		content, err := Unpack(f.Data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		// Helm would take a folder that ends in .tgz for an archive.
		unpacked, err := unpack(content, name+".unpacked/", depth+1, left)
		if err != nil {
			return nil, err
		}
		all = append(all, unpacked...)
	}
	return all, nil
}

// order sorts the subcharts, which Helm's loader gives in the order of a map.
func order(c *v2.Chart) {
	subcharts := slices.SortedFunc(slices.Values(c.Dependencies()), func(a, b *v2.Chart) int {
		return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a.Metadata.Version, b.Metadata.Version))
	})
	for _, s := range subcharts {
		order(s)
	}
	c.SetDependencies(subcharts...)
}

// Ignore returns the files of a chart's folder that .helmignore leaves, as Helm does when
// it reads a folder. Names are relative to the folder.
func Ignore(files []chart.File) ([]chart.File, error) {
	rules := ignore.Empty()
	for _, f := range files {
		if f.Name != ignore.HelmIgnore {
			continue
		}
		parsed, err := ignore.Parse(strings.NewReader(string(f.Data)))
		if err != nil {
			return nil, &Error{Kind: BadChart, File: f.Name, Message: oneLine(err.Error())}
		}
		rules = parsed
	}
	rules.AddDefaults()
	var kept []chart.File
	ignored := map[string]bool{} // folders
	for _, f := range files {
		if inIgnored(rules, ignored, f.Name) || rules.Ignore(f.Name, entry{path.Base(f.Name), false}) {
			continue
		}
		kept = append(kept, f)
	}
	return kept, nil
}

// inIgnored returns whether a rule excludes a folder that a file is in.
func inIgnored(rules *ignore.Rules, known map[string]bool, name string) bool {
	folder := path.Dir(name)
	if folder == "." || folder == "/" {
		return false
	}
	is, ok := known[folder]
	if !ok {
		is = inIgnored(rules, known, folder) || rules.Ignore(folder, entry{path.Base(folder), true})
		known[folder] = is
	}
	return is
}

// entry is all that the rules of .helmignore ask of a file.
type entry struct {
	name string
	dir  bool
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return 0 }
func (e entry) IsDir() bool        { return e.dir }
func (e entry) ModTime() time.Time { return time.Time{} }
func (e entry) Sys() any           { return nil }
func (e entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir
	}
	return 0
}

// Name returns the chart's name.
func (c *Chart) Name() string { return c.chart.Name() }

// Version returns the chart's version.
func (c *Chart) Version() string { return c.chart.Metadata.Version }

// Schema returns the chart's values.schema.json, nil when it has none. Subcharts have
// their own.
func (c *Chart) Schema() []byte { return c.chart.Schema }

// File returns the content of a file of the chart that is no template, values.yaml left
// out.
func (c *Chart) File(name string) ([]byte, bool) {
	for _, f := range c.chart.Files {
		if f.Name == name {
			return f.Data, true
		}
	}
	return nil, false
}

// Values returns the chart's defaults, which the caller must not change.
func (c *Chart) Values() map[string]any { return c.chart.Values }

// With returns the chart with another version and, unless they are nil, other defaults.
func (c *Chart) With(version string, values map[string]any) *Chart {
	copied := copyOf(c.chart)
	copied.Metadata.Version = version
	if values != nil {
		copied.Values = values
	}
	return &Chart{chart: copied, templates: c.templates, schemas: c.schemas}
}

// Dependency is a chart that a chart asks for.
type Dependency struct{ Name, Alias, Version, Repository string }

// Missing returns the dependencies that the chart names and does not hold, as
// source-controller finds them when it packs a chart of a Git repository.
func (c *Chart) Missing() []Dependency {
	wanted := c.chart.Metadata.Dependencies
	if c.chart.Lock != nil {
		wanted = c.chart.Lock.Dependencies
	}
	if len(wanted) == len(c.chart.Dependencies()) {
		return nil
	}
	var missing []Dependency
	for _, d := range wanted {
		name := cmp.Or(d.Alias, d.Name)
		if !slices.ContainsFunc(c.chart.Dependencies(), func(s *v2.Chart) bool { return s.Name() == name }) {
			missing = append(missing, Dependency{d.Name, d.Alias, d.Version, d.Repository})
		}
	}
	return missing
}

// Add returns the chart with a dependency more.
func (c *Chart) Add(d Dependency, subchart *Chart) *Chart {
	copied, sub := copyOf(c.chart), copyOf(subchart.chart)
	if d.Alias != "" {
		sub.Metadata.Name = d.Alias
	}
	copied.AddDependency(sub)
	order(copied)
	return &Chart{chart: copied, templates: newTemplates(), schemas: schema.New()}
}

// copyOf copies what ProcessDependencies changes: the tree of charts and their metadata.
// Files and default values are shared, which nothing changes.
func copyOf(c *v2.Chart) *v2.Chart {
	copied := *c
	metadata := *c.Metadata
	metadata.Dependencies = nil
	for _, d := range c.Metadata.Dependencies {
		if d == nil {
			continue
		}
		one := *d
		metadata.Dependencies = append(metadata.Dependencies, &one)
	}
	copied.Metadata = &metadata
	subcharts := make([]*v2.Chart, len(c.Dependencies()))
	for i, s := range c.Dependencies() {
		subcharts[i] = copyOf(s)
	}
	copied.SetDependencies(subcharts...)
	return &copied
}

// Render templates the chart as the install action of Helm does under helm-controller.
// lookup finds nothing, as on the first install; DNS is not asked. The error is an *Error
// or that of ctx.
func (c *Chart) Render(ctx context.Context, r Release) (rendered *Rendered, err error) {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	defer func() {
		// Helm recovers as well: its own libraries panic on some hostile charts.
		if p := recover(); p != nil {
			rendered, err = nil, &Error{Kind: BadTemplate, Message: oneLine(fmt.Sprint("rendering the templates: ", p))}
		}
	}()
	processed := copyOf(c.chart)
	if err := chartutil.ProcessDependencies(processed, r.Values); err != nil {
		return nil, &Error{Kind: BadValues, Message: "processing the chart's dependencies: " + oneLine(err.Error())}
	}
	capabilities := &common.Capabilities{
		KubeVersion: kubeVersion(r.KubeVersion),
		APIVersions: r.APIVersions,
		HelmVersion: common.DefaultCapabilities.HelmVersion,
	}
	values, err := util.ToRenderValuesWithSchemaValidation(processed, r.Values, common.ReleaseOptions{
		Name: r.Name, Namespace: r.Namespace, Revision: revision(r.Upgrade), IsInstall: !r.Upgrade, IsUpgrade: r.Upgrade,
	}, capabilities, true)
	if err != nil {
		return nil, &Error{Kind: BadValues, Message: "merging the values: " + oneLine(err.Error())}
	}
	if !r.SkipSchema {
		coalesced, err := values.Table("Values")
		if err != nil {
			return nil, &Error{Kind: BadValues, Message: oneLine(err.Error())}
		}
		if err := validate(c.schemas, processed, coalesced); err != nil {
			return nil, err
		}
	}
	if wants := processed.Metadata.KubeVersion; wants != "" && !chartutil.IsCompatibleRange(wants, capabilities.KubeVersion.String()) {
		return nil, &Error{Kind: BadChart, File: "Chart.yaml",
			Message: fmt.Sprintf("the chart asks for Kubernetes %s, and the site runs %s", wants, r.KubeVersion)}
	}
	rendered, err = c.templates.execute(ctx, processed, values)
	if err != nil {
		return nil, err
	}
	for _, crd := range processed.CRDObjects() {
		rendered.CRDs = append(rendered.CRDs, File{Path: crd.Filename, Text: string(crd.File.Data)})
	}
	return rendered, nil
}

func revision(upgrade bool) int {
	if upgrade {
		return 2
	}
	return 1
}

// kubeVersion is what Helm makes of the version that the API server tells.
func kubeVersion(version string) common.KubeVersion {
	kube := common.KubeVersion{Version: version}
	if parsed, err := common.ParseKubeVersion(version); err == nil {
		kube.Major, kube.Minor = parsed.Major, parsed.Minor
	}
	return kube
}

// accessor reads a chart as Helm's own code does.
func accessor(c *v2.Chart) helmchart.Accessor {
	a, err := helmchart.NewAccessor(c)
	if err != nil {
		panic(err) // only for other types of charts
	}
	return a
}

// oneLine makes a message of a library fit for a finding.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Unpack returns the files of an archive, as Load wants them.
func Unpack(data []byte) ([]chart.File, error) {
	inner, err := archive.LoadArchiveFiles(bytes.NewReader(data))
	if err != nil {
		return nil, &Error{Kind: BadChart, Message: "unpacking the chart: " + oneLine(err.Error())}
	}
	files := make([]chart.File, len(inner))
	for i, f := range inner {
		files[i] = chart.File{Name: f.Name, Data: f.Data}
	}
	return files, nil
}
