package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/flux2/v2/pkg/manifestgen/install"
	"github.com/fluxcd/pkg/tar"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"sigs.k8s.io/kustomize/api/krusty"
	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	fluxModule = "github.com/fluxcd/flux2"

	fluxHost       = "ghcr.io"
	fluxRepository = "fluxcd/flux-manifests"

	// What upstream's release job gives to `flux push artifact --source`.
	fluxSource = "git://github.com/fluxcd/flux2.git"

	// The file that the job pushes, in a folder that is the root of the layer.
	fluxFile = "gotk-components.yaml"

	// Media types of `flux push artifact` (fluxcd/pkg/oci).
	fluxConfigType  types.MediaType = "application/vnd.cncf.flux.config.v1+json"
	fluxContentType types.MediaType = "application/vnd.cncf.flux.content.v1.tar+gzip"

	// ReferenceAnnotation names an artefact in the index of an image layout
	// (OCI image spec, annotations).
	ReferenceAnnotation = "org.opencontainers.image.ref.name"
)

type fluxResult struct {
	artifact Artifact
	leftOut  []LeftOut
}

// writeFlux makes the artefact that Flux's release job pushes:
//
//	flux install --registry=ghcr.io/fluxcd --components-extra=image-reflector-controller,image-automation-controller,source-watcher --export
//	flux push artifact oci://ghcr.io/fluxcd/flux-manifests:<version>
//
// with Flux's own generator, fed with what its release embeds. A component
// outside the default four is left out when its module is not there.
func writeFlux(content, scratch string, modules, used set, log *slog.Logger) (fluxResult, error) {
	flux, err := modules.get(fluxModule)
	if err != nil {
		return fluxResult{}, err
	}
	used[flux.Path] = flux
	if linked := linkedVersion(flux.Path); linked != "" && linked != flux.Version {
		return fluxResult{}, fmt.Errorf("the files are of %s %s, and this program holds the generator of %s: build it from the same go.mod", flux.Path, flux.Version, linked)
	}
	released, err := flux.released()
	if err != nil {
		return fluxResult{}, err
	}

	var result fluxResult
	base := filepath.Join(scratch, "manifests")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return fluxResult{}, err
	}
	options := install.MakeDefaultOptions()
	options.Version = flux.Version
	var components []string
	for _, name := range append(slices.Clone(options.Components), options.ComponentsExtra...) {
		module, err := modules.get("github.com/fluxcd/" + name)
		if err != nil && slices.Contains(options.ComponentsExtra, name) {
			log.Info("component of Flux left out", "component", name, "reason", "its module is not among those given")
			result.leftOut = append(result.leftOut, LeftOut{Name: name, Reason: "its module is not among those given"})
			continue
		}
		if err != nil {
			return fluxResult{}, err
		}
		used[module.Path] = module
		manifest, err := buildComponent(flux, module, name, log)
		if err != nil {
			return fluxResult{}, fmt.Errorf("building %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(base, name+".yaml"), manifest, 0o644); err != nil {
			return fluxResult{}, err
		}
		components = append(components, name)
	}
	for _, name := range []string{"rbac", "policies"} {
		manifest, err := build(filesys.MakeFsOnDisk(), filepath.Join(flux.Dir, "manifests", name))
		if err != nil {
			return fluxResult{}, fmt.Errorf("building %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(base, name+".yaml"), manifest, 0o644); err != nil {
			return fluxResult{}, err
		}
	}

	options.Components = components
	generated, err := install.Generate(options, base)
	if err != nil {
		return fluxResult{}, err
	}
	// The same manifests as a plain file, for what must be applied before Flux can fetch them.
	if err := os.MkdirAll(filepath.Join(content, "manifests"), 0o755); err != nil {
		return fluxResult{}, err
	}
	if err := os.WriteFile(filepath.Join(content, "manifests", "flux.yaml"), []byte(generated.Content), 0o644); err != nil {
		return fluxResult{}, err
	}
	result.artifact, err = writeArtifact(content, scratch, flux.Version, released, []byte(generated.Content))
	return result, err
}

// linkedVersion returns the version of the module that this program was linked
// with, or nothing when the build does not say.
func linkedVersion(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}

// buildComponent builds manifests/bases/<name> of Flux, whose resources are URLs
// of the component's release: the release files are `kustomize build config/crd`
// and `config/manager` of the component, which its module holds too.
func buildComponent(flux, module Module, name string, log *slog.Logger) ([]byte, error) {
	memory := filesys.MakeFsInMemory()
	base := filepath.Join(flux.Dir, "manifests", "bases", name)
	entries, err := os.ReadDir(base)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(base, entry.Name()))
		if err != nil {
			return nil, err
		}
		if err := memory.WriteFile(entry.Name(), data); err != nil {
			return nil, err
		}
	}

	const file = "kustomization.yaml"
	data, err := memory.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var k kustomize.Kustomization
	if err := yaml.UnmarshalStrict(data, &k); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	for i, resource := range k.Resources {
		if !strings.Contains(resource, "://") {
			continue
		}
		version, folder, err := releaseFile(resource, name)
		if err != nil {
			return nil, err
		}
		manifest, err := build(filesys.MakeFsOnDisk(), filepath.Join(module.Dir, "config", folder))
		if err != nil {
			return nil, err
		}
		k.Resources[i] = folder + ".yaml"
		if err := memory.WriteFile(k.Resources[i], manifest); err != nil {
			return nil, err
		}
		// A patch release of a controller whose module cannot be had is stood in
		// for by the one before, with the image that Flux's release names: its
		// CRDs and flags are those of the same minor.
		if version != module.Version && folder == "manager" {
			log.Info("component of Flux built from another version", "component", name, "config", module.Version, "image", version)
			k.Images = append(k.Images, kustomize.Image{Name: "fluxcd/" + name, NewTag: version})
		}
	}
	data, err = yaml.Marshal(k)
	if err != nil {
		return nil, err
	}
	if err := memory.WriteFile(file, data); err != nil {
		return nil, err
	}
	return build(memory, ".")
}

// releaseFile takes apart the URL of a file of a component's release, and returns
// the version and the folder under config/ that the file is built from.
func releaseFile(url, name string) (version, folder string, err error) {
	rest, ok := strings.CutPrefix(url, "https://github.com/fluxcd/"+name+"/releases/download/")
	version, file, cut := strings.Cut(rest, "/")
	if !ok || !cut {
		return "", "", fmt.Errorf("resource %s is not a file of the release of %s", url, name)
	}
	switch file {
	case name + ".crds.yaml":
		return version, "crd", nil
	case name + ".deployment.yaml":
		return version, "manager", nil
	}
	return "", "", fmt.Errorf("resource %s is neither the CRDs nor the deployment of %s", url, name)
}

// build does what `kustomize build` does with no flags.
func build(fs filesys.FileSystem, dir string) ([]byte, error) {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	resources, err := krusty.MakeKustomizer(options).Run(fs, dir)
	if err != nil {
		return nil, err
	}
	return resources.AsYaml()
}

// writeArtifact does what `flux push artifact` does, into an image layout.
func writeArtifact(content, scratch, version string, released time.Time, manifests []byte) (Artifact, error) {
	layer, err := fluxLayer(filepath.Join(scratch, "flux-system"), manifests)
	if err != nil {
		return Artifact{}, err
	}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, fluxConfigType)
	image, err = mutate.CreatedAt(image, v1.Time{Time: released})
	if err != nil {
		return Artifact{}, err
	}
	image, ok := mutate.Annotations(image, map[string]string{
		"org.opencontainers.image.created": released.Format(time.RFC3339),
		"org.opencontainers.image.source":  fluxSource,
		// Upstream appends @sha1:<commit>, which a Go module does not tell.
		"org.opencontainers.image.revision": version,
	}).(v1.Image)
	if !ok {
		return Artifact{}, errors.New("annotating the artefact: not an image any more")
	}
	image, err = mutate.Append(image, mutate.Addendum{Layer: layer})
	if err != nil {
		return Artifact{}, err
	}

	index, err := layout.Write(filepath.Join(content, "registries", fluxHost), mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return Artifact{}, err
	}
	name := fluxRepository + ":" + version
	if err := index.AppendImage(image, layout.WithAnnotations(map[string]string{ReferenceAnnotation: name})); err != nil {
		return Artifact{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return Artifact{}, err
	}
	return Artifact{Reference: path.Join(fluxHost, name), Digest: digest.String(), Images: imagesIn(manifests)}, nil
}

func fluxLayer(dir string, manifests []byte) (v1.Layer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, fluxFile)
	if err := os.WriteFile(file, manifests, 0o644); err != nil {
		return nil, err
	}
	// The modes stand in the archive: they must not depend on the umask.
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(file, 0o644)); err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	if _, err := tar.Tar(dir, &archive); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(fluxContentType))
}

func imagesIn(manifests []byte) []string {
	var images []string
	for _, match := range regexp.MustCompile(`(?m)^ +(?:- )?image: (\S+)$`).FindAllSubmatch(manifests, -1) {
		images = append(images, string(match[1]))
	}
	slices.Sort(images)
	return slices.Compact(images)
}
