// Package render computes, without a cluster, the objects that Flux applies.
package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/fluxcd/pkg/envsubst"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// tree is what a site's entry may refer to; nothing outside it is read.
const tree = "kubernetes/flux"

// maxFile bounds one file of the tree, in bytes. etcd refuses objects over 1.5 MiB.
const maxFile = 3 << 20

// The ConfigMap whose data the root Kustomization substitutes, as base/defaults says.
const factsName, factsNamespace = "site", "flux-system"

// Root returns what the root Flux Kustomization of a site applies: the build of
// kubernetes/flux/clusters/<site> with the site's own facts substituted. The
// objects that those in turn lead to are not included.
func Root(repository fs.FS, site string) ([]*unstructured.Unstructured, error) {
	files, err := load(repository)
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", site, err)
	}
	entry := path.Join(tree, "clusters", site)
	resources, err := build(files, entry)
	if err != nil {
		return nil, err
	}
	facts, err := factsOf(resources, entry)
	if err != nil {
		return nil, err
	}
	return substituteAll(resources, facts, entry)
}

// build runs kustomize in a folder of files.
func build(files filesys.FileSystem, folder string) ([]*resource.Resource, error) {
	if err := confined(files, "/"+folder, map[string]bool{}); err != nil {
		return nil, fmt.Errorf("building %s: %w", folder, err)
	}
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsNone // as Flux does; files confines it
	options.PluginConfig = types.DisabledPluginConfig()
	built, err := krusty.MakeKustomizer(options).Run(files, "/"+folder)
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", folder, err)
	}
	return built.Resources(), nil
}

func substituteAll(resources []*resource.Resource, facts map[string]string, folder string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, r := range resources {
		object, err := substitute(r, facts)
		if err != nil {
			return nil, fmt.Errorf("substituting in %s %s of %s: %w", r.GetKind(), r.GetName(), folder, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// load copies the tree into memory: kustomize then cannot leave it.
func load(repository fs.FS) (filesys.FileSystem, error) {
	files := filesys.MakeFsInMemory()
	err := fs.WalkDir(repository, tree, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Size() > maxFile {
			return fmt.Errorf("%s has %d bytes, more than %d", name, info.Size(), maxFile)
		}
		data, err := fs.ReadFile(repository, name)
		if err != nil {
			return err
		}
		return files.WriteFile("/"+name, data)
	})
	return files, err
}

func factsOf(resources []*resource.Resource, entry string) (map[string]string, error) {
	for _, r := range resources {
		if r.GetKind() == "ConfigMap" && r.GetName() == factsName && r.GetNamespace() == factsNamespace {
			return r.GetDataMap(), nil
		}
	}
	return nil, fmt.Errorf("%s has no ConfigMap %s/%s: run archipel site sync", entry, factsNamespace, factsName)
}

// Opting out of substitution, as kustomize-controller documents it.
const disabled = "kustomize.toolkit.fluxcd.io/substitute"

// substitute does as kustomize-controller does with the feature gate
// StrictPostBuildSubstitutions, which base/flux-system sets: a variable that the
// facts do not have and that has no default is an error.
func substitute(r *resource.Resource, facts map[string]string) (*unstructured.Unstructured, error) {
	text, err := r.AsYAML()
	if err != nil {
		return nil, err
	}
	if r.GetAnnotations()[disabled] != "disabled" && r.GetLabels()[disabled] != "disabled" {
		replaced, err := envsubst.Eval(string(text), func(name string) (string, bool) {
			value, ok := facts[name]
			return strings.ReplaceAll(value, "\n", ""), ok
		})
		if err != nil {
			return nil, err
		}
		text = []byte(replaced)
	}
	var object map[string]any
	if err := yaml.Unmarshal(text, &object); err != nil {
		return nil, err
	}
	if len(object) == 0 {
		return nil, errors.New("nothing is left of it")
	}
	return &unstructured.Unstructured{Object: object}, nil
}
