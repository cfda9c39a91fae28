package check

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
	"archipel/internal/fleet"
)

// strays finds the files of the Flux tree that no site uses.
type strays struct{ folders gathered[[]string] }

// site notes the folders that Flux builds or makes charts of at a site; nil when not all
// of them are known.
func (st *strays) site(s *Site) []finding.Finding {
	folders := []string{clusters + "/" + s.Site.Name}
	for _, k := range s.Render.Kustomizations {
		switch {
		case k.Object != nil && k.Source == nil, k.Source != nil && k.Source.Local && !k.Built && (k.Object == nil || !isTrue(k.Object.Object, "spec", "suspend")):
			folders = nil
		case k.Source != nil && k.Source.Local && folders != nil:
			folders = append(folders, k.Path)
		}
	}
	for _, r := range s.Render.Releases {
		if r.Chart.Source != nil && r.Chart.Source.Local && r.Object != nil && folders != nil {
			spec := mapAt(r.Object.Object, "spec", "chart", "spec")
			folders = append(folders, "chart:"+path.Clean(strings.TrimPrefix(textAt(spec, "chart"), "./")))
			for _, values := range textsAt(spec, "valuesFiles") {
				folders = append(folders, "chart:"+path.Clean(strings.TrimPrefix(values, "./")))
			}
		}
	}
	st.folders.put(s.Site.Name, folders)
	return nil
}

// fleet reports whole folders, or single files in folders that are used.
func (st *strays) fleet(whole bool) func(*Fleet) []finding.Finding {
	return func(f *Fleet) []finding.Finding {
		used := usage{fleet: f, files: map[string]bool{}, built: map[string]bool{}}
		complete := f.All() && len(f.Sites) > 0
		for _, folders := range st.folders.all() {
			complete = complete && folders != nil
			for _, folder := range folders {
				if chart, ok := strings.CutPrefix(folder, "chart:"); ok {
					used.below(chart)
				} else {
					used.build(folder)
				}
			}
		}
		if !complete {
			f.Skip("usage-unknown", "files that no site uses are found when all sites are checked, and all their folders can be built")
			return nil
		}
		return used.unused(whole)
	}
}

// usage is what kustomize and Helm read of the tree.
type usage struct {
	fleet *Fleet
	files map[string]bool
	built map[string]bool
}

// below notes everything in a folder, or one file.
func (u *usage) below(name string) {
	for _, file := range u.fleet.Files {
		if file == name || strings.HasPrefix(file, name+"/") {
			u.files[file] = true
		}
	}
}

// build notes what a build of a folder reads; a folder without a kustomization.yaml is
// built from all manifests in it, as Flux does.
func (u *usage) build(folder string) {
	if u.built[folder] {
		return
	}
	u.built[folder] = true
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		file := path.Join(folder, name)
		if !u.fleet.Has(file) {
			continue
		}
		u.files[file] = true
		if y := u.fleet.Parsed(file); y != nil {
			for _, document := range y.Documents {
				u.references(folder, document, "")
			}
		}
		return
	}
	for _, file := range u.fleet.Files {
		if path.Dir(file) == folder && (path.Ext(file) == ".yaml" || path.Ext(file) == ".yml") {
			u.files[file] = true
		}
	}
	for _, dir := range u.fleet.Dirs {
		if path.Dir(dir) == folder {
			u.build(dir)
		}
	}
}

// references notes the files that a kustomization names.
func (u *usage) references(folder string, n *yaml.Node, field string) {
	n = follow(n)
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			switch field {
			case "":
				switch key {
				case "resources", "bases", "components", "generators", "transformers", "validators", "crds", "configurations", "patchesStrategicMerge",
					"patches", "patchesJson6902", "replacements", "openapi", "configMapGenerator", "secretGenerator", "helmCharts":
					u.references(folder, n.Content[i+1], key)
				}
			default:
				switch key {
				case "path", "files", "envs", "env", "valuesFile":
					u.references(folder, n.Content[i+1], key)
				}
			}
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			u.references(folder, c, field)
		}
	case yaml.ScalarNode:
		name := n.Value
		if _, file, ok := strings.Cut(name, "="); ok && field == "files" {
			name = file
		}
		name = path.Join(folder, name)
		switch {
		case u.fleet.Has(name):
			u.files[name] = true
		case u.fleet.HasDir(name):
			u.build(name)
		}
	}
}

// unused returns the findings of what is left: the topmost folders that hold nothing that
// is used, or the files in the others.
func (u *usage) unused(whole bool) []finding.Finding {
	needed := map[string]bool{} // folders that hold something used, or are no part of the tree
	for file := range u.files {
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			needed[dir] = true
		}
	}
	for _, site := range u.fleet.Fleet.Sites {
		needed[clusters+"/"+site.Name] = true
	}
	for dir := range u.built { // kept for what will come
		needed[dir] = true
	}
	for _, dir := range []string{flux, clusters, flux + "/apps", flux + "/base"} {
		needed[dir] = true
	}
	var findings []finding.Finding
	reported := map[string]bool{}
	for _, file := range u.fleet.Files {
		if layer(file) != "flux" || u.files[file] || hidden(file) || foreign(u.fleet, file) {
			continue
		}
		stray := ""
		for dir := path.Dir(file); dir != tree && !needed[dir]; dir = path.Dir(dir) {
			stray = dir
		}
		switch {
		case stray == "" && !whole:
			findings = append(findings, problem(finding.Position{File: file}, "list it in a kustomization.yaml, or remove it", "no site uses this file"))
		case stray != "" && whole && !reported[stray]:
			reported[stray] = true
			findings = append(findings, problem(finding.Position{File: stray}, "list it at a site, or remove it", "no site uses this folder"))
		}
	}
	return findings
}

// foreign reports whether a file is in the folder of a site that has no inventory, which has its own finding.
func foreign(f *Fleet, file string) bool {
	site := siteOf(file)
	return site != "" && !slices.ContainsFunc(f.Fleet.Sites, func(s *fleet.Site) bool { return s.Name == site })
}
