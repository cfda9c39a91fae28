// Package source reads the repository: files and YAML documents with positions.
package source

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Marker is the directory that makes its ancestor the root of a repository,
// slash-separated.
const Marker = "kubernetes/ansible/inventories"

// Repository is a checkout on disk.
type Repository struct {
	dir  string
	root *os.Root
}

// Open finds the repository that dir is in: the nearest of dir and its parents
// that holds kubernetes/ansible/inventories.
func Open(dir string) (*Repository, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the repository: %w", err)
	}
	for at := start; ; at = filepath.Dir(at) {
		info, err := os.Stat(filepath.Join(at, filepath.FromSlash(Marker)))
		if err == nil && info.IsDir() {
			root, err := os.OpenRoot(at)
			if err != nil {
				return nil, fmt.Errorf("opening the repository: %w", err)
			}
			return &Repository{dir: at, root: root}, nil
		}
		if at == filepath.Dir(at) {
			return nil, fmt.Errorf("no archipel repository: neither %s nor a directory above it holds %s; "+
				"run archipel inside a clone of your fleet's repository, or make that directory to start one", start, Marker)
		}
	}
}

// Root returns the absolute path of the repository's root directory.
func (r *Repository) Root() string { return r.dir }

// FS returns the repository's files. A symbolic link that leads out of the
// repository is an error when it is followed.
func (r *Repository) FS() fs.FS { return r.root.FS() }

// Close frees the root directory. FS must not be used afterwards.
func (r *Repository) Close() error { return r.root.Close() }
