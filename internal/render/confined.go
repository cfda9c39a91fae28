package render

import (
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// kustomization is all of a kustomization.yaml that makes kustomize read
// something else.
type kustomization struct {
	// Files or folders.
	Resources, Bases, Components, Generators, Transformers, Validators []string
	// Files.
	CRDs                  []string
	Configurations        []string
	PatchesStrategicMerge []string
	Patches               []patchFile
	PatchesJSON6902       []patchFile `json:"patchesJson6902"`
	Replacements          []patchFile
	OpenAPI               patchFile
	ConfigMapGenerator    []generator
	SecretGenerator       []generator
}

type patchFile struct{ Path string }

type generator struct {
	Files, Envs []string
	Env         string
}

// references returns what k refers to; patches that stand in k itself are not
// references.
func (k kustomization) references() []string {
	var all []string
	for _, list := range [][]string{
		k.Resources, k.Bases, k.Components, k.Generators, k.Transformers, k.Validators,
		k.CRDs, k.Configurations, k.PatchesStrategicMerge,
	} {
		for _, reference := range list {
			if !strings.Contains(reference, "\n") {
				all = append(all, reference)
			}
		}
	}
	for _, list := range [][]patchFile{k.Patches, k.PatchesJSON6902, k.Replacements, {k.OpenAPI}} {
		for _, patch := range list {
			all = append(all, patch.Path)
		}
	}
	for _, g := range append(k.ConfigMapGenerator, k.SecretGenerator...) {
		all = append(append(all, g.Envs...), g.Env)
		for _, source := range g.Files {
			if _, file, ok := strings.Cut(source, "="); ok { // key=file
				source = file
			}
			all = append(all, source)
		}
	}
	return all
}

// confined returns an error when a build of folder would need anything but
// files. kustomize must not look for it elsewhere: it takes for a URL whatever it
// cannot find, uses the network and starts git.
func confined(files filesys.FileSystem, folder string, seen map[string]bool) error {
	if seen[folder] {
		return nil
	}
	seen[folder] = true
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		file := path.Join(folder, name)
		if !files.Exists(file) {
			continue
		}
		data, err := files.ReadFile(file)
		if err != nil {
			return err
		}
		var k kustomization
		if err := yaml.Unmarshal(data, &k); err != nil {
			return fmt.Errorf("reading %s: %w", strings.TrimPrefix(file, "/"), err)
		}
		for _, reference := range k.references() {
			if reference == "" {
				continue
			}
			target := reference
			if !path.IsAbs(target) {
				target = path.Join(folder, target)
			}
			if !files.Exists(target) {
				return fmt.Errorf("%s refers to %s, which is no file or folder of %s: nothing is fetched, and no link is followed",
					strings.TrimPrefix(file, "/"), reference, tree)
			}
			if files.IsDir(target) {
				if err := confined(files, target, seen); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
