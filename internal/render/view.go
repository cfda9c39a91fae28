package render

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// view is a tree as kustomize sees it: rooted at /, read-only, with some files
// replaced or added. It is used by one build at a time.
type view struct {
	*tree
	replaced map[string][]byte
	read     map[string]bool // files that the build has read
}

var errReadOnly = errors.New("the tree is read-only")

func (v *view) IsDir(name string) bool {
	_, ok := v.folders[inside(name)]
	return ok
}

func (v *view) Exists(name string) bool {
	name = inside(name)
	_, replaced := v.replaced[name]
	return replaced || v.files[name] != nil || v.IsDir(name)
}

func (v *view) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	name = inside(name)
	if v.IsDir(name) {
		return filesys.ConfirmedDir("/" + name), "", nil
	}
	if !v.Exists(name) {
		return "", "", &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return filesys.ConfirmedDir(path.Dir("/" + name)), path.Base(name), nil
}

func (v *view) ReadFile(name string) ([]byte, error) {
	name = inside(name)
	v.read[name] = true
	if data, ok := v.replaced[name]; ok {
		return data, nil
	}
	if f := v.files[name]; f != nil {
		return f.content()
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (v *view) ReadDir(name string) ([]string, error) {
	entries, ok := v.folders[inside(name)]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: strings.TrimPrefix(name, "/"), Err: fs.ErrNotExist}
	}
	return entries, nil
}

// The rest is no part of a build.

func (*view) Create(string) (filesys.File, error)  { return nil, errReadOnly }
func (*view) Open(string) (filesys.File, error)    { return nil, errReadOnly }
func (*view) Mkdir(string) error                   { return errReadOnly }
func (*view) MkdirAll(string) error                { return errReadOnly }
func (*view) RemoveAll(string) error               { return errReadOnly }
func (*view) WriteFile(string, []byte) error       { return errReadOnly }
func (*view) Glob(string) ([]string, error)        { return nil, errReadOnly }
func (*view) Walk(string, filepath.WalkFunc) error { return errReadOnly }
