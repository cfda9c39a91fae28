package source

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// kindOf is the type of an entry; fs.ModeIrregular for a submodule and for
// what Git does not define.
func kindOf(e object.TreeEntry) fs.FileMode {
	switch e.Mode {
	case filemode.Dir:
		return fs.ModeDir
	case filemode.Symlink:
		return fs.ModeSymlink
	case filemode.Regular, filemode.Deprecated, filemode.Executable:
		return 0
	}
	return fs.ModeIrregular
}

// info is a file, a folder or a link of a commit: fs.FileInfo and fs.DirEntry.
type info struct {
	revision *Revision
	name     string
	mode     fs.FileMode
	hash     plumbing.Hash
}

func (i info) Name() string               { return i.name }
func (i info) IsDir() bool                { return i.mode.IsDir() }
func (i info) Type() fs.FileMode          { return i.mode.Type() }
func (i info) Mode() fs.FileMode          { return i.mode }
func (i info) ModTime() time.Time         { return time.Time{} } // a commit records none
func (i info) Info() (fs.FileInfo, error) { return i, nil }

// Sys returns the name that Git gives the content, a plumbing.Hash.
func (i info) Sys() any { return i.hash }

// Size is the length of a file in bytes; 0 when it cannot be read.
func (i info) Size() int64 {
	if i.IsDir() {
		return 0
	}
	i.revision.git.mu.Lock()
	defer i.revision.git.mu.Unlock()
	if data, ok := i.revision.git.files[i.hash]; ok {
		return int64(len(data))
	}
	size, err := i.revision.git.store.EncodedObjectSize(i.hash)
	if err != nil {
		return 0
	}
	return size
}

// read returns the content of a file, which the caller must not change. The
// lock of the repository is held.
func (i info) read(name string) ([]byte, error) {
	if i.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	data, err := i.revision.git.blob(i.hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		err = errors.New("the object is not in the repository; git fetch gets it")
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}

// list returns the entries of a folder, sorted by name. The lock of the
// repository is held.
func (i info) list(name string) ([]fs.DirEntry, error) {
	if !i.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	t, err := i.revision.git.tree(i.hash)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	entries := make([]fs.DirEntry, 0, len(t.Entries))
	for _, e := range t.Entries {
		if shown, ok := i.revision.info(e); ok {
			entries = append(entries, shown)
		}
	}
	// Git sorts a folder as if its name ended in a slash.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// file is an open file or folder of a commit.
type file struct {
	info info
	path string
	data *bytes.Reader // nil before the first Read
	list []fs.DirEntry // what ReadDir has not returned yet
	read bool          // list is filled in
	done bool          // closed
}

func (f *file) Stat() (fs.FileInfo, error) {
	if f.done {
		return nil, &fs.PathError{Op: "stat", Path: f.path, Err: fs.ErrClosed}
	}
	return f.info, nil
}

func (f *file) Close() error {
	if f.done {
		return &fs.PathError{Op: "close", Path: f.path, Err: fs.ErrClosed}
	}
	f.done = true
	return nil
}

func (f *file) Read(p []byte) (int, error) {
	if f.done {
		return 0, &fs.PathError{Op: "read", Path: f.path, Err: fs.ErrClosed}
	}
	if f.data == nil {
		f.info.revision.git.mu.Lock()
		data, err := f.info.read(f.path)
		f.info.revision.git.mu.Unlock()
		if err != nil {
			return 0, err
		}
		f.data = bytes.NewReader(data)
	}
	return f.data.Read(p)
}

// ReadDir implements fs.ReadDirFile.
func (f *file) ReadDir(n int) ([]fs.DirEntry, error) {
	if f.done {
		return nil, &fs.PathError{Op: "readdir", Path: f.path, Err: fs.ErrClosed}
	}
	if !f.read {
		f.info.revision.git.mu.Lock()
		list, err := f.info.list(f.path)
		f.info.revision.git.mu.Unlock()
		if err != nil {
			return nil, err
		}
		f.list, f.read = list, true
	}
	if n <= 0 {
		n = len(f.list)
	} else if len(f.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.list))
	entries := f.list[:n:n]
	f.list = f.list[n:]
	return entries, nil
}
