package check

import (
	"path"
	"reflect"
	"slices"
	"strings"

	"archipel/internal/finding"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
)

func kustomizationFieldUnknown() Rule {
	return Rule{
		ID: "kustomization-field-unknown", Group: Flux, Severity: finding.Error,
		Summary: "A kustomization.yaml has a field that kustomize does not know.",
		Reason: "kustomize itself refuses it. Flux reads the file, drops what it does not know, and writes it anew before it builds, so what was meant silently does not happen " +
			"(fluxcd/pkg/kustomize, Generator; https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/).",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/kustomization.yaml", "resources:\n  - namespace.yaml\n  - release.yaml\nnamePrefx: a-\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/kustomization.yaml", "resources:\n  - namespace.yaml\n  - release.yaml\n"),
		File: func(f *File) []finding.Finding {
			if !slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(f.Path)) || !strings.HasPrefix(f.Path, flux+"/") || len(f.Documents) == 0 {
				return nil
			}
			known := kustomizeFields()
			var found []finding.Finding
			pairs(f.Documents[0], func(key, _ *yaml.Node) {
				if !known[strings.ToLower(key.Value)] {
					found = append(found, problem(f.Position(key), "correct the name, or remove the field", "%s is no field of a kustomization.yaml, and Flux drops it", key.Value))
				}
			})
			return found
		},
	}
}

// kustomizeFields are the fields of a kustomization.yaml in lower case: case does not matter to kustomize.
func kustomizeFields() map[string]bool {
	known := map[string]bool{"imagetags": true} // renamed to images by kustomize itself
	var add func(reflect.Type)
	add = func(t reflect.Type) {
		for i := range t.NumField() {
			name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if t.Field(i).Anonymous && strings.Contains(options, "inline") {
				add(t.Field(i).Type)
				continue
			}
			known[strings.ToLower(name)] = true
		}
	}
	add(reflect.TypeFor[types.Kustomization]())
	return known
}
