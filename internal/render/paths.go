package render

import (
	"io/fs"
	"path"
	"strings"

	"archipel/internal/source"
)

// maxEntryFiles bounds how many files of an entry are looked at for its paths.
const maxEntryFiles = 200

// Paths are the folders that the Flux Kustomizations written in an entry build: they
// tell where the repository's root is. A path with a variable in it tells nothing.
func Paths(entry fs.FS) []string {
	var paths []string
	seen := 0
	_ = fs.WalkDir(entry, ".", func(name string, e fs.DirEntry, err error) error { // what cannot be read tells nothing
		if err != nil || e.IsDir() || path.Ext(name) != ".yaml" && path.Ext(name) != ".yml" {
			return nil //nolint:nilerr // what cannot be read tells nothing
		}
		if seen++; seen > maxEntryFiles {
			return fs.SkipAll
		}
		y, _ := source.ReadYAML(entry, name)
		if y == nil {
			return nil
		}
		for _, d := range y.Documents {
			if strings.HasPrefix(scalarAt(d, "apiVersion"), kustomizeGroup+"/") {
				if at := scalarAt(d, "spec", "path"); at != "" && !strings.Contains(at, "$") {
					paths = append(paths, inside(at))
				}
			}
		}
		return nil
	})
	return paths
}
