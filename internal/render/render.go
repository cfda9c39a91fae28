// Package render computes, without a cluster, the objects that Flux applies.
package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"archipel/internal/finding"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// stack is what a site's entry may refer to; Flux reads nothing outside it.
const stack = "kubernetes/flux"

// The ConfigMap whose data the root Kustomization substitutes, as base/defaults says.
const factsName, factsNamespace = "site", fluxSystem

// Root returns what the root Flux Kustomization of a site applies, less the labels that
// Flux adds: the build of kubernetes/flux/clusters/<site> with the site's own facts
// substituted. The objects that those in turn lead to are not included.
func Root(repository fs.FS, site string) ([]*unstructured.Unstructured, error) {
	objects, err := folderOf(repository, site, path.Join(clusters, site))
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", site, err)
	}
	return objects, nil
}

// folderOf builds a folder of the stack with the facts of a site.
func folderOf(repository fs.FS, site, folder string) ([]*unstructured.Unstructured, error) {
	r := New(Config{FS: repository})
	t, err := r.archive(sparse([]string{stack}))
	if err != nil {
		return nil, err
	}
	entry, problem := r.buildOf(t, path.Join(clusters, site), spec{}, nil)
	if problem != nil {
		return nil, asError(problem)
	}
	facts, err := factsOf(entry, site)
	if err != nil {
		return nil, err
	}
	b, problem := r.buildOf(t, folder, spec{}, nil)
	if problem != nil {
		return nil, asError(problem)
	}
	var objects []*unstructured.Unstructured
	for _, written := range b.objects {
		object, err := written.parsed()
		if err != nil {
			return nil, err
		}
		if written.YAML != "" && !disabledBy(object.Object, substitutionDisabled, true) {
			if object, err = strictly(written, facts); err != nil {
				return nil, fmt.Errorf("substituting in %s of %s: %w", (&Object{Unstructured: object}).name(), folder, err)
			}
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func strictly(written *builtObject, facts map[string]variable) (*unstructured.Unstructured, error) {
	original, err := written.parsed()
	if err != nil {
		return nil, err
	}
	put, err := substitute(written.YAML, facts)
	if err != nil {
		return original, err
	}
	if len(put.missing) > 0 {
		return original, fmt.Errorf("%s has no value and no default", strings.Join(put.missing, ", "))
	}
	object, err := decodeYAML(put.text)
	if err != nil {
		return original, errors.New("nothing is left of it that is a Kubernetes object")
	}
	return &unstructured.Unstructured{Object: object}, nil
}

func factsOf(entry *built, site string) (map[string]variable, error) {
	for _, written := range entry.objects {
		object, err := written.parsed()
		if err != nil {
			return nil, err
		}
		if object.GetKind() != "ConfigMap" || object.GetName() != factsName || object.GetNamespace() != factsNamespace {
			continue
		}
		facts := map[string]variable{}
		texts, _, _ := unstructured.NestedStringMap(object.Object, "data")
		for name, text := range texts {
			facts[name] = variable{value: strings.ReplaceAll(text, "\n", "")}
		}
		return facts, nil
	}
	return nil, fmt.Errorf("%s has no ConfigMap %s/%s: run archipel site sync", path.Join(clusters, site), factsNamespace, factsName)
}

func asError(f *finding.Finding) error {
	at := f.Position.File
	if f.Position.Line > 0 {
		at = fmt.Sprintf("%s:%d", at, f.Position.Line)
	}
	return fmt.Errorf("%s: %s", at, f.Message)
}
