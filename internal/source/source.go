// Package source reads the repository: files and YAML documents with positions.
package source

import (
	"errors"
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

// OpenAround opens the repository of any shape that dir, the folder that a Flux
// Kustomization of a cluster begins with, belongs to: the nearest of dir and its parents
// that holds .git, else kubernetes/ansible/inventories, else the nearest from which all
// of paths, slash-separated, lead to a folder, else dir itself. paths is given dir's
// files. entry is dir, slash-separated and relative to the root.
func OpenAround(dir string, paths func(fs.FS) []string) (repository *Repository, entry string, err error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return nil, "", fmt.Errorf("finding the repository: %w", err)
	}
	if info, err := os.Stat(start); err != nil || !info.IsDir() {
		return nil, "", fmt.Errorf("finding the repository: %s is no folder", dir)
	}
	at, wanted := start, paths(os.DirFS(start))
	for _, isRoot := range []func(at string) bool{
		func(at string) bool { _, err := os.Lstat(filepath.Join(at, ".git")); return err == nil },
		func(at string) bool {
			_, err := os.Stat(filepath.Join(at, filepath.FromSlash(Marker)))
			return err == nil
		},
		func(at string) bool { return leads(at, wanted) },
	} {
		if found := above(start, isRoot); found != "" {
			at = found
			break
		}
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		return nil, "", fmt.Errorf("opening the repository: %w", err)
	}
	relative, err := filepath.Rel(at, start)
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("opening the repository: %w", err), root.Close())
	}
	return &Repository{dir: at, root: root}, filepath.ToSlash(relative), nil
}

// above is the nearest of dir and its parents that a function accepts; "" when there is none.
func above(dir string, accept func(at string) bool) string {
	for at := dir; ; at = filepath.Dir(at) {
		if accept(at) {
			return at
		}
		if at == filepath.Dir(at) {
			return ""
		}
	}
}

// leads says whether all paths lead from a folder to a folder.
func leads(from string, paths []string) bool {
	for _, name := range paths {
		info, err := os.Stat(filepath.Join(from, filepath.FromSlash(name)))
		if err != nil || !info.IsDir() {
			return false
		}
	}
	return len(paths) > 0
}

// Root returns the absolute path of the repository's root directory.
func (r *Repository) Root() string { return r.dir }

// FS returns the repository's files. A symbolic link that leads out of the
// repository is an error when it is followed.
func (r *Repository) FS() fs.FS { return r.root.FS() }

// Close frees the root directory. FS must not be used afterwards.
func (r *Repository) Close() error { return r.root.Close() }
