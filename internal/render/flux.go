package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// spec is what a Flux Kustomization says about its build, kustomize.toolkit.fluxcd.io/v1.
type spec struct {
	Path                    string        `json:"path,omitempty"`
	Suspend                 bool          `json:"suspend,omitempty"`
	SourceRef               objectRef     `json:"sourceRef,omitempty"`
	DependsOn               []objectRef   `json:"dependsOn,omitempty"`
	TargetNamespace         string        `json:"targetNamespace,omitempty"`
	NamePrefix              string        `json:"namePrefix,omitempty"`
	NameSuffix              string        `json:"nameSuffix,omitempty"`
	Components              []string      `json:"components,omitempty"`
	IgnoreMissingComponents bool          `json:"ignoreMissingComponents,omitempty"`
	BuildMetadata           []string      `json:"buildMetadata,omitempty"`
	Patches                 []patch       `json:"patches,omitempty"`
	Images                  []types.Image `json:"images,omitempty"`
	CommonMetadata          *struct {
		Labels      map[string]string `json:"labels,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
	} `json:"commonMetadata,omitempty"`
	Decryption *struct {
		Provider string `json:"provider"`
	} `json:"decryption,omitempty"`
	PostBuild *postBuild `json:"postBuild,omitempty"`
}

type objectRef struct {
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Optional  bool   `json:"optional,omitempty"`
}

type patch struct {
	Patch  string    `json:"patch"`
	Target *selector `json:"target,omitempty"`
}

type selector struct {
	Group              string `json:"group,omitempty"`
	Version            string `json:"version,omitempty"`
	Kind               string `json:"kind,omitempty"`
	Namespace          string `json:"namespace,omitempty"`
	Name               string `json:"name,omitempty"`
	AnnotationSelector string `json:"annotationSelector,omitempty"`
	LabelSelector      string `json:"labelSelector,omitempty"`
}

type postBuild struct {
	Substitute         map[string]string `json:"substitute,omitempty"`
	SubstituteFrom     []objectRef       `json:"substituteFrom,omitempty"`
	SubstituteStrategy string            `json:"substituteStrategy,omitempty"`
}

// specOf reads a Flux Kustomization.
func specOf(object *unstructured.Unstructured) (spec, error) {
	var s struct {
		Spec spec `json:"spec"`
	}
	data, err := json.Marshal(map[string]any{"spec": object.Object["spec"]})
	if err != nil {
		return spec{}, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return spec{}, fmt.Errorf("%s must not be a %s", wrong.Field, wrong.Value)
		}
		return spec{}, errors.New("its spec cannot be read")
	}
	return s.Spec, nil
}

// only keeps what changes a build, so that equal builds have equal keys.
func (s spec) only() spec {
	return spec{
		TargetNamespace: s.TargetNamespace, NamePrefix: s.NamePrefix, NameSuffix: s.NameSuffix,
		Components: s.Components, IgnoreMissingComponents: s.IgnoreMissingComponents, BuildMetadata: s.BuildMetadata,
		Patches: s.Patches, Images: s.Images,
	}
}

// generate returns the kustomization.yaml that kustomize-controller builds in a
// folder: the folder's own, or one that lists its manifests, with the spec worked
// in. The rules are those of fluxcd/pkg/kustomize, Generator.GenerateManifest.
func (s spec) generate(t *tree, folder string) (name string, content []byte, err error) {
	k := types.Kustomization{TypeMeta: types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind}}
	if own := t.kustomizationFile(folder); own != "" {
		name = own
		data, err := t.files[own].content()
		if err != nil {
			return name, nil, err
		}
		if err := yaml.Unmarshal(data, &k); err != nil {
			return name, nil, fmt.Errorf("%s cannot be read: %w", own, err)
		}
		if len(k.Resources) == 0 { // Flux: kustomize takes a file without resources for an empty one
			k.BuildMetadata = []string{types.OriginAnnotations}
		}
	} else {
		name = path.Join(folder, konfig.DefaultKustomizationFileName())
		k.Resources = t.manifests(folder)
		if len(k.Resources) == 0 {
			k.Namespace = "_placeholder"
		}
	}
	if err := s.workInto(&k, t, folder); err != nil {
		return name, nil, err
	}
	content, err = yaml.Marshal(k)
	return name, content, err
}

// kustomizationFile is the folder's kustomization.yaml by any of its names, "" when it has none.
func (t *tree) kustomizationFile(folder string) string {
	for _, base := range konfig.RecognizedKustomizationFileNames() {
		if name := path.Join(folder, base); t.files[name] != nil {
			return name
		}
	}
	return ""
}

// manifests are what Flux lists in a folder without kustomization.yaml: every YAML
// file below it, and in their place the folders that have one.
func (t *tree) manifests(base string) []string {
	var found []string
	var visit func(folder string)
	visit = func(folder string) {
		for _, entry := range t.folders[folder] {
			name := path.Join(folder, entry)
			listed := "./" + strings.TrimPrefix(strings.TrimPrefix(name, base), "/")
			if _, isFolder := t.folders[name]; isFolder {
				if t.kustomizationFile(name) != "" {
					found = append(found, listed)
				} else {
					visit(name)
				}
			} else if extension := path.Ext(entry); extension == ".yaml" || extension == ".yml" {
				found = append(found, listed)
			}
		}
	}
	visit(base)
	return found
}

func (s spec) workInto(k *types.Kustomization, t *tree, folder string) error {
	if s.TargetNamespace != "" {
		k.Namespace = s.TargetNamespace
	}
	if s.NamePrefix != "" {
		k.NamePrefix = s.NamePrefix
	}
	if s.NameSuffix != "" {
		k.NameSuffix = s.NameSuffix
	}
	for _, p := range s.Patches {
		target := (*types.Selector)(nil)
		if p.Target != nil {
			target = p.Target.kustomize()
		}
		k.Patches = append(k.Patches, types.Patch{Patch: p.Patch, Target: target})
	}
	for _, component := range s.Components {
		if path.IsAbs(component) || looksRemote(component) {
			return fmt.Errorf("component %q is no folder of the source: it must be local and relative", component)
		}
		if _, ok := t.folders[inside(path.Join(folder, component))]; !ok && s.IgnoreMissingComponents {
			continue
		}
		k.Components = append(k.Components, component)
	}
	for _, image := range s.Images {
		k.Images = withImage(k.Images, image)
	}
	if len(s.BuildMetadata) > 0 {
		k.BuildMetadata = s.BuildMetadata
	}
	return nil
}

// withImage merges an image into the list: a tag and a digest go together, so that
// neither outlives the other.
func withImage(images []types.Image, image types.Image) []types.Image {
	for i := range images {
		if images[i].Name != image.Name {
			continue
		}
		if image.NewName != "" {
			images[i].NewName = image.NewName
		}
		if image.NewTag != "" || image.Digest != "" {
			images[i].NewTag, images[i].Digest = image.NewTag, image.Digest
		}
		return images
	}
	return append(images, types.Image{Name: image.Name, NewName: image.NewName, NewTag: image.NewTag, Digest: image.Digest})
}

func (s selector) kustomize() *types.Selector {
	out := &types.Selector{LabelSelector: s.LabelSelector, AnnotationSelector: s.AnnotationSelector}
	out.Group, out.Version, out.Kind, out.Namespace, out.Name = s.Group, s.Version, s.Kind, s.Namespace, s.Name
	return out
}
