package render

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"archipel/internal/chart"
	"archipel/internal/finding"
	"archipel/internal/helm"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"
)

// foundChart is the chart of a release, or why there is none.
type foundChart struct {
	info    Chart
	chart   *helm.Chart
	key     [sha256.Size]byte
	skip    *Skip // with a chart: what could not be known of it
	problem *finding.Finding
}

// chartOf finds the chart of a release, as source-controller makes it.
func (r *Renderer) chartOf(ctx context.Context, in releaseInput, s *releaseSpec) foundChart {
	namespace := in.object.GetNamespace()
	if s.Chart != nil {
		spec := s.Chart.Spec
		spec.SourceRef.Namespace = cmp.Or(spec.SourceRef.Namespace, namespace)
		return r.fromSource(ctx, in, spec, "spec.chart.spec.sourceRef")
	}
	ref := *s.ChartRef
	ref.Namespace = cmp.Or(ref.Namespace, namespace)
	if ref.Kind != "HelmChart" && ref.Kind != "OCIRepository" {
		if ref.Kind == "ExternalArtifact" {
			return foundChart{skip: in.skip("source-elsewhere", "an ExternalArtifact is made in the cluster")}
		}
		return foundChart{problem: in.problem("helmrelease-invalid", fmt.Sprintf("spec.chartRef has the kind %q", ref.Kind), "use OCIRepository or HelmChart")}
	}
	object := in.find(ref.Kind, ref.Namespace, ref.Name)
	if object == nil {
		return foundChart{problem: in.missing("spec.chartRef", ref)}
	}
	if ref.Kind == "OCIRepository" {
		return r.fromArtefact(ctx, in, object)
	}
	var spec chartSpec
	if err := readSpec(object.Unstructured, &spec); err != nil {
		return foundChart{problem: in.problem("source-invalid", "HelmChart "+ref.Namespace+"/"+ref.Name+": "+line(err), "correct it")}
	}
	spec.SourceRef.Namespace = ref.Namespace
	return r.fromSource(ctx, in, spec, "spec.sourceRef of HelmChart "+ref.Namespace+"/"+ref.Name)
}

func (in releaseInput) missing(field string, ref objectRef) *finding.Finding {
	return in.problem("source-missing", fmt.Sprintf("%s names %s %s/%s, which nothing declares", field, ref.Kind, ref.Namespace, ref.Name),
		"declare it, or correct the reference")
}

// fromSource finds the chart that a HelmChart names.
func (r *Renderer) fromSource(ctx context.Context, in releaseInput, spec chartSpec, field string) foundChart {
	asked := foundChart{info: Chart{Name: spec.Chart, Version: spec.Version}}
	object := in.find(spec.SourceRef.Kind, spec.SourceRef.Namespace, spec.SourceRef.Name)
	if object == nil {
		asked.problem = in.missing(field, spec.SourceRef)
		return asked
	}
	asked.info.Source = in.source(object)
	switch spec.SourceRef.Kind {
	case "HelmRepository":
		var repository struct {
			URL      string `json:"url"`
			Insecure bool   `json:"insecure"`
		}
		if err := readSpec(object.Unstructured, &repository); err != nil || repository.URL == "" {
			asked.problem = in.problem("source-invalid", "HelmRepository "+spec.SourceRef.Namespace+"/"+spec.SourceRef.Name+" has no spec.url", "set it")
			return asked
		}
		return r.fetched(ctx, in, asked, chart.Reference{
			Repository: repository.URL, Name: spec.Chart, Version: spec.Version, Insecure: repository.Insecure,
		}, spec)
	case "GitRepository", "Bucket":
		if in.tree == nil {
			asked.skip = in.skip("source-elsewhere", "charts in Git are not read here")
			return asked
		}
		files, skip := in.tree(object)
		if skip != nil {
			asked.skip = in.skip(skip.Code, skip.Reason)
			return asked
		}
		return r.fromFolder(ctx, in, asked, files, spec)
	}
	asked.problem = in.problem("helmrelease-invalid", fmt.Sprintf("%s has the kind %q", field, spec.SourceRef.Kind), "use HelmRepository, GitRepository or Bucket")
	return asked
}

// get fetches a chart. The message of an error is fit for a finding.
func (r *Renderer) get(ctx context.Context, in releaseInput, reference chart.Reference) (*chart.Package, *Skip, *finding.Finding) {
	if r.charts == nil {
		return nil, in.skip("chart-unavailable", "nothing fetches charts here"), nil
	}
	fetched, err := r.charts.Get(ctx, reference)
	var unavailable *chart.UnavailableError
	var altered *chart.DigestError
	switch {
	case err == nil:
		return fetched, nil, nil
	case errors.As(err, &unavailable):
		return nil, in.skip("chart-unavailable", line(err)), nil
	case errors.As(err, &altered):
		return nil, nil, in.problem("chart-digest-mismatch", line(err), "find out who changed it; archipel lock --update accepts the new content")
	case ctx.Err() != nil:
		return nil, in.skip("chart-unavailable", "interrupted"), nil
	}
	return nil, nil, in.problem("chart-missing", line(err), "correct the name, the version and the URL of its source")
}

// load reads a chart whose content has a digest.
func (r *Renderer) load(key [sha256.Size]byte, files func() ([]chart.File, error)) (*helm.Chart, error) {
	loaded := r.helm.charts.get(key, maxCharts, func() loadedChart {
		content, err := files()
		if err != nil {
			return loadedChart{err: err}
		}
		c, err := helm.Load(content)
		return loadedChart{c, err}
	})
	return loaded.chart, loaded.err
}

// fetched is a chart of a HelmRepository. It is used as it is, unless valuesFiles replace
// its defaults.
func (r *Renderer) fetched(ctx context.Context, in releaseInput, found foundChart, reference chart.Reference, spec chartSpec) foundChart {
	packed, skip, problem := r.get(ctx, in, reference)
	if packed == nil {
		found.skip, found.problem = skip, problem
		return found
	}
	found.info.Digest = packed.Digest
	key := digest("package", packed.Digest)
	c, err := r.load(key, func() ([]chart.File, error) { return packed.Chart(), nil })
	if err != nil {
		found.problem = in.explain(err)
		return found
	}
	return r.finish(in, found, c, key, spec, func(name string) ([]byte, bool) { return c.File(path.Clean(name)) })
}

// finish gives a chart the defaults that valuesFiles name, and the version that
// source-controller then gives it.
func (r *Renderer) finish(in releaseInput, found foundChart, c *helm.Chart, key [sha256.Size]byte, spec chartSpec, file func(string) ([]byte, bool)) foundChart {
	files := slices.DeleteFunc(slices.Clone(spec.ValuesFiles), func(name string) bool { return name == "" })
	if len(files) > 0 {
		defaults := map[string]any{}
		for _, name := range files {
			data, ok := file(name)
			var read map[string]any
			switch {
			case spec.SourceRef.Kind == "HelmRepository" && path.Clean(name) == "values.yaml":
				read = c.Values()
			case !ok && spec.IgnoreMissingValuesFiles:
				continue
			case !ok:
				found.problem = in.problem("values-source-missing", "spec.chart.spec.valuesFiles names "+name+", which is not there",
					"correct the path: it is relative to the chart, or to the root of the GitRepository or Bucket")
				return found
			default:
				if err := yaml.Unmarshal(data, &read); err != nil {
					found.problem = in.problem("values-invalid", "the values file "+name+" is no map in YAML: "+line(err), "correct it")
					return found
				}
			}
			defaults = mergeMaps(defaults, read)
		}
		// source-controller appends the generation of the HelmChart, which begins with 1.
		version, err := withMetadata(c.Version(), "1")
		if err != nil {
			found.problem = in.problem("chart-unreadable", line(err), "correct the version in Chart.yaml")
			return found
		}
		c, key = c.With(version, defaults), digest(key, version, defaults)
	}
	found.chart, found.key = c, key
	found.info.Name, found.info.Version, found.info.Schema = c.Name(), c.Version(), c.Schema()
	return found
}

// withMetadata replaces the part of a version after the +.
func withMetadata(version, metadata string) (string, error) {
	v, err := semver.NewVersion(version)
	if err != nil {
		return "", fmt.Errorf("the version %q of the chart is no semantic version", version)
	}
	with, err := v.SetMetadata(metadata)
	if err != nil {
		return "", err
	}
	return with.String(), nil
}

// fromArtefact is the chart of an OCIRepository. helm-controller appends the digest to its
// version.
func (r *Renderer) fromArtefact(ctx context.Context, in releaseInput, object *Object) foundChart {
	found := foundChart{info: Chart{Name: object.GetName(), Source: in.source(object)}}
	reference := artefactOf(object.Unstructured)
	if !strings.HasPrefix(reference.Repository, "oci://") {
		found.problem = in.problem("source-invalid", "OCIRepository "+object.GetNamespace()+"/"+object.GetName()+" has no spec.url that begins with oci://", "correct it")
		return found
	}
	found.info.Version = cmp.Or(reference.Digest, reference.SemVer, reference.Version)
	packed, skip, problem := r.get(ctx, in, reference)
	if packed == nil {
		found.skip, found.problem = skip, problem
		return found
	}
	found.info.Digest = packed.Digest
	key := digest("package", packed.Digest, reference.MediaType)
	c, err := r.load(key, func() ([]chart.File, error) { return packed.Chart(), nil })
	if err != nil {
		found.problem = in.explain(err)
		return found
	}
	if tag, err := semver.NewVersion(strings.ReplaceAll(packed.Version, "_", "+")); err == nil && reference.Digest == "" {
		if own, err := semver.NewVersion(c.Version()); err == nil && !tag.Equal(own) {
			found.problem = in.problem("chart-version-mismatch", fmt.Sprintf("the tag %s holds the chart in version %s, which helm-controller refuses", packed.Version, c.Version()),
				"use the tag of that version")
			return found
		}
	}
	_, sum, _ := strings.Cut(packed.Digest, ":")
	version, err := withMetadata(c.Version(), sum[:min(12, len(sum))])
	if err != nil {
		found.problem = in.problem("chart-unreadable", line(err), "correct the version in Chart.yaml")
		return found
	}
	return r.finish(in, found, c.With(version, nil), digest(key, version), chartSpec{}, nil)
}

// fromFolder packs the chart of a folder, or takes the archive, of a Git repository.
func (r *Renderer) fromFolder(ctx context.Context, in releaseInput, found foundChart, files *tree, spec chartSpec) foundChart {
	folder := inside(spec.Chart)
	content, err := r.content(files, folder)
	if err != nil {
		found.problem = in.explain(err)
		return found
	}
	if content == nil {
		found.problem = in.problem("chart-missing", "there is no chart at "+spec.Chart, "correct spec.chart.spec.chart: it is relative to the root of the source")
		return found
	}
	key := digestOf(content)
	found.info.Digest = "sha256:" + hex.EncodeToString(key[:])
	c, err := r.load(key, func() ([]chart.File, error) { return content, nil })
	if err != nil {
		found.problem = in.explain(err)
		return found
	}
	for _, d := range c.Missing() {
		sub, subKey, skip, problem := r.dependency(ctx, in, files, folder, d)
		if sub == nil {
			found.skip, found.problem = skip, problem
			return found
		}
		c, key = c.Add(d, sub), digest(key, d, subKey)
	}
	if spec.ReconcileStrategy == "Revision" {
		found.skip = in.skip("chart-revision", "reconcileStrategy Revision appends the commit to the chart's version: rendered without it")
	}
	return r.finish(in, found, c, key, spec, func(name string) ([]byte, bool) {
		f := files.files[inside(name)]
		if f == nil {
			return nil, false
		}
		data, err := f.content()
		return data, err == nil
	})
}

// content returns the files of a chart in a source, nil when there is none. What
// .helmignore excludes is left out.
func (r *Renderer) content(files *tree, at string) ([]chart.File, error) {
	if archive := files.files[at]; archive != nil {
		data, err := archive.content()
		if err != nil {
			return nil, err
		}
		return helm.Unpack(data)
	}
	content, err := files.below(at)
	if err != nil || len(content) == 0 {
		return nil, err
	}
	return helm.Ignore(content)
}

// dependency finds a chart that a chart in Git asks for and does not hold.
func (r *Renderer) dependency(ctx context.Context, in releaseInput, files *tree, folder string, d helm.Dependency) (*helm.Chart, [sha256.Size]byte, *Skip, *finding.Finding) {
	none := [sha256.Size]byte{}
	if d.Repository != "" && !strings.HasPrefix(d.Repository, "file://") {
		packed, skip, problem := r.get(ctx, in, chart.Reference{Repository: d.Repository, Name: d.Name, Version: d.Version})
		if packed == nil {
			return nil, none, skip, problem
		}
		key := digest("package", packed.Digest)
		c, err := r.load(key, func() ([]chart.File, error) { return packed.Chart(), nil })
		if err != nil {
			return nil, none, nil, in.explain(err)
		}
		return c, key, nil, nil
	}
	at := path.Join(folder, "charts", d.Name)
	if d.Repository != "" {
		at = path.Join(folder, strings.TrimPrefix(d.Repository, "file://"))
	}
	content, err := r.content(files, inside(at))
	if err == nil && content == nil {
		err = fmt.Errorf("the chart asks for %s, which is not at %s", d.Name, at)
	}
	if err != nil {
		return nil, none, nil, in.problem("chart-missing", line(err), "correct the dependency in Chart.yaml")
	}
	key := digestOf(content)
	c, err := r.load(key, func() ([]chart.File, error) { return content, nil })
	if err != nil {
		return nil, none, nil, in.explain(err)
	}
	wanted, err := semver.NewConstraint(d.Version)
	if err == nil {
		var version *semver.Version
		if version, err = semver.NewVersion(c.Version()); err == nil && !wanted.Check(version) {
			err = fmt.Errorf("it is %s", version)
		}
	}
	if err != nil {
		return nil, none, nil, in.problem("chart-missing", fmt.Sprintf("the dependency %s wants version %q: %s", d.Name, d.Version, line(err)), "correct the version in Chart.yaml")
	}
	return c, key, nil, nil
}

// digestOf is the digest of files that are sorted.
func digestOf(files []chart.File) [sha256.Size]byte {
	hash := sha256.New()
	for _, f := range files {
		fmt.Fprintf(hash, "%q %d\n", f.Name, len(f.Data))
		hash.Write(f.Data)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}
