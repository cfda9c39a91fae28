package render

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"archipel/internal/chart"
	"archipel/internal/finding"
	"archipel/internal/source"

	"go.yaml.in/yaml/v3"
)

// Bounds on what a source may hold. Real ones stay far below them.
const (
	maxFile  = 3 << 20 // bytes of a file; etcd refuses objects over 1.5 MiB
	maxFiles = 100_000 // files of a source
)

// tree is the files of a source. It is never changed once made, and safe for
// concurrent use.
type tree struct {
	local   bool                // its files are the repository's, so that positions lead to them
	files   map[string]*file    // slash-separated paths
	folders map[string][]string // entries of each folder by their base names, sorted; "" is the root
	links   map[string]bool     // symbolic links: Flux's artefacts hold none
}

// file is a file of a tree, read at its first use.
type file struct {
	name string
	from fs.FS // nil when data is there from the beginning

	read sync.Once
	data []byte
	sum  [sha256.Size]byte
	err  error

	parse   sync.Once
	yaml    *source.YAML     // nil when it is no YAML
	problem *finding.Finding // why

}

func (f *file) content() ([]byte, error) {
	f.read.Do(func() {
		if f.from != nil {
			f.data, f.err = readBounded(f.from, f.name)
		}
		f.sum = sha256.Sum256(f.data)
	})
	return f.data, f.err
}

func readBounded(from fs.FS, name string) ([]byte, error) {
	in, err := from.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxFile)
	}
	return data, nil
}

// documents returns the roots of the file's YAML documents, nil when it is no YAML.
func (f *file) documents() (*source.YAML, []*yaml.Node) {
	f.parse.Do(func() {
		data, err := f.content()
		if err != nil {
			unreadable := source.Unreadable(f.name, err)
			f.problem = &unreadable
			return
		}
		var findings []finding.Finding
		if f.yaml, findings = source.ParseYAML(f.name, data); f.yaml == nil && len(findings) > 0 {
			f.problem = &findings[0]
		}
	})
	if f.yaml == nil {
		return nil, nil
	}
	return f.yaml, f.yaml.Documents
}

// treeOf lists a repository's files: what Git would hold of it. Files that
// .gitignore excludes are left out, symbolic links are not followed.
func treeOf(repository fs.FS) (*tree, error) {
	t := &tree{local: true, files: map[string]*file{}, links: map[string]bool{}}
	ignored := patterns{}
	err := fs.WalkDir(repository, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == ".git" || name != "." && ignored.match(name, true) {
				return fs.SkipDir
			}
			ignored = append(ignored, readPatterns(repository, name, ".gitignore")...)
			return nil
		}
		if ignored.match(name, false) {
			return nil
		}
		switch {
		case entry.Type()&fs.ModeSymlink != 0:
			t.links[name] = true
		case entry.Type().IsRegular():
			if len(t.files) == maxFiles {
				return fmt.Errorf("the repository has more than %d files", maxFiles)
			}
			t.files[name] = &file{name: name, from: repository}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the repository: %w", err)
	}
	t.index(nil)
	return t, nil
}

// artefact is the tree of files that were fetched.
func artefact(files []chart.File) *tree {
	t := &tree{files: map[string]*file{}}
	for _, f := range files {
		if name := path.Clean("/" + f.Name)[1:]; name != "" {
			t.files[name] = &file{name: name, data: f.Data}
		}
	}
	t.index(nil)
	return t
}

// without is the tree as source-controller archives it: less what the patterns exclude.
func (t *tree) without(excluded patterns) *tree {
	left := &tree{local: t.local, files: map[string]*file{}, links: t.links}
	for name, f := range t.files {
		if !excluded.match(name, false) {
			left.files[name] = f
		}
	}
	// A folder stays when it is not excluded itself, even if all that it held was.
	var folders []string
	for name := range t.folders {
		if name != "" && !excluded.match(name, true) {
			folders = append(folders, name)
		}
	}
	left.index(folders)
	return left
}

// index makes the folders that files need, and those named.
func (t *tree) index(folders []string) {
	entries := map[string]map[string]bool{"": {}}
	var add func(name string)
	add = func(name string) {
		dir, base := path.Split(name)
		dir = strings.TrimSuffix(dir, "/")
		if entries[dir] == nil {
			entries[dir] = map[string]bool{}
			add(dir)
		}
		entries[dir][base] = true
	}
	for name := range t.files {
		add(name)
	}
	for _, name := range folders {
		if entries[name] == nil {
			entries[name] = map[string]bool{}
		}
		add(name)
	}
	t.folders = make(map[string][]string, len(entries))
	for folder, names := range entries {
		list := make([]string, 0, len(names))
		for name := range names {
			list = append(list, name)
		}
		slices.Sort(list)
		t.folders[folder] = list
	}
}

// under returns the names of the files below a folder, sorted; "" is the root.
func (t *tree) under(folder string) []string {
	var names []string
	var visit func(folder string)
	visit = func(folder string) {
		for _, base := range t.folders[folder] {
			name := path.Join(folder, base)
			if _, ok := t.folders[name]; ok {
				visit(name)
			} else if t.files[name] != nil {
				names = append(names, name)
			}
		}
	}
	visit(folder)
	slices.Sort(names)
	return names
}

// below returns the files below a folder with names relative to it, sorted; nil
// when there is no such folder.
func (t *tree) below(folder string) ([]chart.File, error) {
	folder = inside(folder)
	if _, ok := t.folders[folder]; !ok {
		return nil, nil
	}
	files := []chart.File{}
	for _, name := range t.under(folder) {
		data, err := t.files[name].content()
		if err != nil {
			return nil, err
		}
		files = append(files, chart.File{Name: strings.TrimPrefix(strings.TrimPrefix(name, folder), "/"), Data: data})
	}
	return files, nil
}

// inside is a path as Flux takes it: whatever leads out of the source ends at its root.
func inside(name string) string { return path.Clean("/" + strings.ReplaceAll(name, "\\", "/"))[1:] }
