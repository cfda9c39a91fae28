package engine

import (
	"fmt"
	"io/fs"
	"testing/fstest"
)

// files is a file system in memory. Its name keeps Trivy from printing the whole of it to
// find out which it is, which takes minutes.
type files fstest.MapFS

func (files) String() string { return "request" }

// Open is that of fs.FS.
func (f files) Open(name string) (fs.File, error) { return fstest.MapFS(f).Open(name) }

// ReadFile is that of fs.ReadFileFS.
func (f files) ReadFile(name string) ([]byte, error) { return fstest.MapFS(f).ReadFile(name) }

// ReadDir is that of fs.ReadDirFS.
func (f files) ReadDir(name string) ([]fs.DirEntry, error) { return fstest.MapFS(f).ReadDir(name) }

// Stat is that of fs.StatFS.
func (f files) Stat(name string) (fs.FileInfo, error) { return fstest.MapFS(f).Stat(name) }

func fileSystem(tree []File) (files, error) {
	made := files{}
	for _, file := range tree {
		if !fs.ValidPath(file.Path) {
			return nil, fmt.Errorf("%q is no path", file.Path)
		}
		made[file.Path] = &fstest.MapFile{Data: []byte(file.Content), Mode: 0o644}
	}
	return made, nil
}
