package render

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"archipel/internal/helm"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// The annotation under which Helm hands the name of the template to a post-renderer.
const templateAnnotation = "postrenderer.helm.sh/postrender-filename"

// postError is what goes wrong after the templates.
type postError struct{ rule, message, fix string }

func (e *postError) Error() string { return e.message }

// postRender does what Helm does between the templates and the cluster, with the
// post-renderers that helm-controller gives it (its internal/postrender, and Helm's
// renderResources). The namespace of an object is found later: it depends on the site.
func (r *Renderer) postRender(s *releaseSpec, release *Release, rendered *helm.Rendered) (product, error) {
	var all, hooks []item
	for _, f := range rendered.Files {
		documents, err := r.helm.parser.Documents(f)
		if err != nil {
			return product{}, err
		}
		for _, d := range documents {
			one := item{document: d, template: f.Path, unsure: f.Unsure}
			if d.Hook && s.PostRenderStrategy != "" && s.PostRenderStrategy != "combined" {
				hooks = append(hooks, one)
			} else {
				all = append(all, one)
			}
		}
	}
	streams := [][]item{all}
	if s.PostRenderStrategy == "separate" {
		streams = append(streams, hooks)
	}
	made := product{unsure: rendered.Unsure}
	for _, stream := range streams {
		patched, err := r.patched(s, stream)
		if err != nil {
			return product{}, err
		}
		made.items = append(made.items, patched...)
	}
	if s.PostRenderStrategy == "nohooks" {
		for _, h := range hooks {
			h.bare = true
			made.items = append(made.items, h)
		}
	}
	made.items = slices.DeleteFunc(made.items, func(i item) bool {
		return i.document.Ignored || i.document.Hook && s.Install.DisableHooks
	})
	if s.Install.CRDs != "Skip" {
		for _, f := range rendered.CRDs {
			documents, err := r.helm.parser.CRDs(f)
			if err != nil {
				return product{}, err
			}
			for _, d := range documents {
				made.items = append(made.items, item{document: d, template: f.Path, crd: true})
			}
		}
	}
	made.with = digest(release.Namespace, release.Name, release.ReleaseName, release.TargetNamespace, s.CommonMetadata)
	return made, nil
}

// patched runs spec.postRenderers over a stream of objects. Objects that are twice in it are
// refused: every release has a post-renderer that refuses them.
func (r *Renderer) patched(s *releaseSpec, stream []item) ([]item, error) {
	seen := map[string]string{}
	for _, i := range stream {
		id := i.document.ID()
		if before, ok := seen[id]; ok {
			return nil, &postError{"object-duplicate", fmt.Sprintf("%s and %s both make %s %s, which Flux refuses",
				before, i.template, i.document.Object["kind"], nameOf(i.document)), "switch one of them off in the values, or set spec.postRenderStrategy: separate when one is a hook"}
		}
		seen[id] = i.template
	}
	for _, renderer := range s.PostRenderers {
		if renderer.Kustomize == nil || len(stream) == 0 {
			continue
		}
		var patches []types.Patch
		for _, p := range renderer.Kustomize.Patches {
			one := types.Patch{Patch: p.Patch}
			if p.Target != nil {
				one.Target = p.Target.kustomize()
			}
			patches = append(patches, one)
		}
		var images []types.Image
		for _, i := range renderer.Kustomize.Images {
			images = append(images, types.Image{Name: i.Name, NewName: i.NewName, NewTag: i.NewTag, Digest: i.Digest})
		}
		if len(patches) == 0 && len(images) == 0 {
			continue
		}
		var err error
		if stream, err = r.kustomized(patches, images, stream); err != nil {
			return nil, &postError{"postrenderer-failed", "spec.postRenderers: " + line(err), "correct the patches: their targets must match what the chart makes"}
		}
	}
	return stream, nil
}

func nameOf(d *helm.Document) string {
	metadata, _ := d.Object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return name
}

// kustomized has kustomize patch a stream of objects.
func (r *Renderer) kustomized(patches []types.Patch, images []types.Image, stream []item) (patched []item, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("kustomize fails: %v", p)
		}
	}()
	const input = "helm-output.yaml"
	unsure := map[string][]string{}
	var text []byte
	for _, i := range stream {
		object := with(i.document.Object, nil, map[string]string{templateAnnotation: i.template})
		data, err := yaml.Marshal(object)
		if err != nil {
			return nil, err
		}
		text = append(append(text, "---\n"...), data...)
		unsure[i.template] = i.unsure
	}
	kustomization, err := yaml.Marshal(types.Kustomization{
		TypeMeta:  types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Resources: []string{input}, Patches: patches, Images: images,
	})
	if err != nil {
		return nil, err
	}
	files := filesys.MakeFsInMemory()
	if err := errors.Join(files.WriteFile("/kustomization.yaml", kustomization), files.WriteFile("/"+input, text)); err != nil {
		return nil, err
	}
	built, err := r.buildReleased(files)
	if err != nil {
		return nil, err
	}
	for _, resource := range built.Resources() {
		annotations := resource.GetAnnotations()
		template := annotations[templateAnnotation]
		delete(annotations, templateAnnotation)
		if err := resource.SetAnnotations(annotations); err != nil {
			return nil, err
		}
		data, err := resource.AsYAML()
		if err != nil {
			return nil, err
		}
		documents, err := r.helm.parser.Documents(helm.File{Path: template, Text: string(data)})
		if err != nil {
			return nil, err
		}
		for _, d := range documents {
			patched = append(patched, item{document: d, template: template, unsure: unsure[template]})
		}
	}
	return patched, nil
}

func (r *Renderer) buildReleased(files filesys.FileSystem) (resmap.ResMap, error) {
	r.shared.kustomize.Lock()
	defer r.shared.kustomize.Unlock()
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsNone
	options.PluginConfig = types.DisabledPluginConfig()
	return krusty.MakeKustomizer(options).Run(files, "/")
}

// The marks of Helm's ownership, and of helm-controller's.
const (
	managedBy        = "app.kubernetes.io/managed-by"
	ownerName        = "meta.helm.sh/release-name"
	ownerNamespace   = "meta.helm.sh/release-namespace"
	originNameLabel  = "helm.toolkit.fluxcd.io/name"
	originSpaceLabel = "helm.toolkit.fluxcd.io/namespace"
)

// placed gives the objects of a release their namespaces and the metadata that
// helm-controller and Helm add when they apply them.
func (r *Renderer) placed(in releaseInput, s *releaseSpec, release *Release, made product) []produced {
	own := map[schema.GroupKind]bool{} // cluster-wide or not: of the release's own definitions
	for _, i := range made.items {
		if d, ok := definitionOf(&unstructured.Unstructured{Object: i.document.Object}); ok && i.document.Object["kind"] == "CustomResourceDefinition" {
			own[schema.GroupKind{Group: d.group, Kind: d.kind}] = d.cluster
		}
	}
	var all []produced
	for _, i := range made.items {
		key := objectKey{document: i.document, with: made.with, hook: i.document.Hook, crd: i.crd, bare: i.bare}
		if !i.crd && !clusterWide(in, own, i.document) {
			key.into = release.TargetNamespace
		}
		object := r.helm.objects.get(key, maxMarked, func() *unstructured.Unstructured { return marked(s, release, key) })
		all = append(all, produced{object, i.template, i.document.Hook, i.crd, i.unsure})
	}
	if s.Install.CreateNamespace && s.TargetNamespace != "" && in.find("Namespace", "", s.TargetNamespace) == nil {
		all = append(all, produced{object: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace",
			"metadata": map[string]any{"name": s.TargetNamespace, "labels": map[string]any{"name": s.TargetNamespace}},
		}}})
	}
	return all
}

// clusterWide returns whether an object stands in no namespace. Kinds that nobody knows are
// taken for namespaced ones, as most are.
func clusterWide(in releaseInput, own map[schema.GroupKind]bool, d *helm.Document) bool {
	apiVersion, _ := d.Object["apiVersion"].(string)
	kind, _ := d.Object["kind"].(string)
	group := schema.FromAPIVersionAndKind(apiVersion, kind).Group
	if cluster, known := own[schema.GroupKind{Group: group, Kind: kind}]; known {
		return cluster
	}
	cluster, known := in.clusterScoped(group, kind)
	return known && cluster
}

// marked returns an object as it is applied.
func marked(s *releaseSpec, release *Release, key objectKey) *unstructured.Unstructured {
	labels, annotations := map[string]string{}, map[string]string{}
	if !key.bare {
		if s.CommonMetadata != nil && !key.crd {
			maps.Copy(labels, s.CommonMetadata.Labels)
			maps.Copy(annotations, s.CommonMetadata.Annotations)
		}
		labels[originNameLabel], labels[originSpaceLabel] = release.Name, release.Namespace
	}
	object := &unstructured.Unstructured{Object: with(key.document.Object, labels, annotations)}
	if key.into != "" && object.GetNamespace() == "" {
		object.SetNamespace(key.into)
	}
	if key.hook || key.crd {
		return object
	}
	// As Helm does it: labels of which one is no text are all lost.
	owned := func(current map[string]string, more map[string]string) map[string]string {
		all := maps.Clone(current)
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, more)
		return all
	}
	object.SetLabels(owned(object.GetLabels(), map[string]string{managedBy: "Helm"}))
	object.SetAnnotations(owned(object.GetAnnotations(), map[string]string{
		ownerName: release.ReleaseName, ownerNamespace: release.TargetNamespace,
	}))
	return object
}

// with returns a copy of an object with more labels and annotations. The copy shares all
// but its metadata.
func with(object map[string]any, labels, annotations map[string]string) map[string]any {
	copied := maps.Clone(object)
	metadata, _ := object["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	if metadata == nil {
		metadata = map[string]any{}
	}
	for field, more := range map[string]map[string]string{"labels": labels, "annotations": annotations} {
		if len(more) == 0 {
			continue
		}
		current, _ := metadata[field].(map[string]any)
		all := make(map[string]any, len(current)+len(more))
		maps.Copy(all, current)
		for k, v := range more {
			all[k] = v
		}
		metadata[field] = all
	}
	copied["metadata"] = metadata
	return copied
}
