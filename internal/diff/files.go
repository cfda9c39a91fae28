package diff

import (
	"cmp"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"archipel/internal/source"
)

// Folders of the layers, from the repository's root.
const (
	ansibleFolder   = "kubernetes/ansible"
	terraformFolder = "kubernetes/terraform"
)

// CompareAnsible lists what changes of the roles, playbooks and variables that
// Ansible runs on the hosts. files are those of source.Changes; sites are all
// that were compared.
func CompareAnsible(before, after fs.FS, files, sites []string) []Change {
	groups := map[string]*Change{}
	for _, file := range files {
		rest, ok := strings.CutPrefix(file, ansibleFolder+"/")
		if !ok || hidden(rest) {
			continue
		}
		parts := strings.Split(rest, "/")
		subject, name, of := "file "+rest, rest, sites
		switch {
		case parts[0] == "inventories" && len(parts) > 2:
			subject, name, of = "inventory files of "+parts[1], path.Join(parts[2:]...), []string{parts[1]}
			if !slices.Contains(sites, parts[1]) {
				continue // another site's, or one that is gone
			}
		case parts[0] == "inventories":
			subject = "inventory file " + parts[1]
		case len(parts) > 2:
			// roles/<role>/..., and collections and the like.
			subject, name = strings.TrimSuffix(parts[0], "s")+" "+parts[1], path.Join(parts[2:]...)
		case len(parts) == 2:
			subject = strings.TrimSuffix(parts[0], "s") + " " + parts[1]
		}
		group, ok := groups[subject]
		if !ok {
			group = &Change{Layer: Ansible, Action: Changed, Subject: clip(subject), Sites: slices.Clone(of)}
			groups[subject] = group
		}
		if len(group.Fields) == maxFields {
			group.More++
			continue
		}
		group.Fields = append(group.Fields, Field{Path: clip(name), Kind: fileKind(before, after, file)})
	}
	var changes []Change
	for _, subject := range slices.Sorted(maps.Keys(groups)) {
		changes = append(changes, *groups[subject])
	}
	return changes
}

// hidden reports whether a file is one that programs leave behind, such as .terraform/.
func hidden(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool { return strings.HasPrefix(part, ".") })
}

func fileKind(before, after fs.FS, file string) FieldKind {
	_, was := fs.Lstat(before, file)
	_, is := fs.Lstat(after, file)
	switch {
	case was != nil:
		return FieldAdded
	case is != nil:
		return FieldRemoved
	}
	return FieldChanged
}

// readOrNone reads a file; nil when it cannot be read, which the caller takes for no file.
func readOrNone(tree fs.FS, file string) []byte {
	data, err := source.Read(tree, file)
	if err != nil {
		return nil
	}
	return data
}

// envSites returns the sites, of those compared, that a folder of the Terraform
// tree belongs to: envs/<site> to one, a module to those whose env calls it.
func envSites(after fs.FS, dir string, sites []string) []string {
	rest := strings.TrimPrefix(dir, terraformFolder+"/")
	parts := strings.Split(rest, "/")
	if parts[0] == "envs" && len(parts) > 1 {
		if slices.Contains(sites, parts[1]) {
			return []string{parts[1]}
		}
		return nil
	}
	if parts[0] != "modules" || len(parts) < 2 {
		return sites
	}
	var callers []string
	for _, site := range sites {
		env := path.Join(terraformFolder, "envs", site)
		for _, b := range moduleOf(after, env).blocks {
			if b.kind == "module" && path.Clean(path.Join(env, b.source())) == path.Join(terraformFolder, "modules", parts[1]) {
				callers = append(callers, site)
				break
			}
		}
	}
	slices.SortFunc(callers, cmp.Compare)
	return callers
}
