package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// Changes returns the files below a folder that differ between two trees, or
// that one of them lacks, sorted. A folder that neither has holds none. What
// two commits share is not read.
func Changes(before, after fs.FS, dir string) ([]string, error) {
	c := comparison{before: before, after: after}
	if err := c.compare(dir, lookup(before, dir), lookup(after, dir), 0); err != nil {
		return nil, fmt.Errorf("comparing %s: %w", dir, err)
	}
	slices.Sort(c.changed)
	return c.changed, nil
}

type comparison struct {
	before, after fs.FS
	changed       []string
}

// lookup describes a name without following it; nil when it is not there.
func lookup(tree fs.FS, name string) fs.FileInfo {
	found, err := fs.Lstat(tree, name)
	if err != nil {
		return nil
	}
	return found
}

// compare compares what one name is in both trees; nil stands for nothing.
func (c *comparison) compare(name string, a, b fs.FileInfo, depth int) error {
	if depth > maxDepth {
		return &fs.PathError{Op: "walk", Path: name, Err: errors.New("nested too deeply")}
	}
	if a != nil && b != nil && a.Mode().Type() == b.Mode().Type() {
		one, known := a.Sys().(plumbing.Hash)
		if other, both := b.Sys().(plumbing.Hash); known && both && one == other {
			return nil
		}
	}
	folder := func(i fs.FileInfo) bool { return i != nil && i.IsDir() }
	if !folder(a) && !folder(b) {
		same, err := c.same(name, a, b)
		if err == nil && !same {
			c.changed = append(c.changed, name)
		}
		return err
	}
	// A folder in the place of a file, or the other way round: the file is gone or new.
	if a != nil && !folder(a) || b != nil && !folder(b) {
		c.changed = append(c.changed, name)
	}
	old, err := entries(c.before, name, folder(a))
	if err != nil {
		return err
	}
	fresh, err := entries(c.after, name, folder(b))
	if err != nil {
		return err
	}
	for child, i := range old {
		if err := c.compare(path.Join(name, child), i, fresh[child], depth+1); err != nil {
			return err
		}
	}
	for child, i := range fresh {
		if _, both := old[child]; !both {
			if err := c.compare(path.Join(name, child), nil, i, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// entries lists a folder by name; none when there is no such folder.
func entries(tree fs.FS, name string, exists bool) (map[string]fs.FileInfo, error) {
	if !exists {
		return nil, nil
	}
	list, err := fs.ReadDir(tree, name)
	if err != nil {
		return nil, err
	}
	found := make(map[string]fs.FileInfo, len(list))
	for _, e := range list {
		// .git of the checkout, or of a submodule: no part of a commit.
		if e.Name() == ".git" {
			continue
		}
		i, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since it was listed
		}
		if err != nil {
			return nil, err
		}
		found[e.Name()] = i
	}
	return found, nil
}

// same compares two files or links by the name that Git gives their content.
func (c *comparison) same(name string, a, b fs.FileInfo) (bool, error) {
	if a == nil || b == nil {
		return a == nil && b == nil, nil
	}
	if a.Mode().Type() != b.Mode().Type() {
		return false, nil
	}
	one, err := blobName(c.before, name, a)
	if err != nil {
		return false, err
	}
	other, err := blobName(c.after, name, b)
	return one == other, err
}

// blobName is the hash of a file's content, or of a link's target, as Git makes it.
func blobName(tree fs.FS, name string, i fs.FileInfo) (plumbing.Hash, error) {
	if hash, ok := i.Sys().(plumbing.Hash); ok {
		return hash, nil
	}
	if i.Mode().Type() == fs.ModeSymlink {
		target, err := fs.ReadLink(tree, name)
		return plumbing.ComputeHash(plumbing.BlobObject, []byte(target)), err
	}
	if !i.Mode().IsRegular() {
		return plumbing.ZeroHash, nil // a pipe or a socket: never in a commit, and never opened
	}
	f, err := tree.Open(name)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	defer f.Close()
	hasher := plumbing.NewHasher(plumbing.BlobObject, i.Size())
	if _, err := io.Copy(hasher, f); err != nil {
		return plumbing.ZeroHash, err
	}
	return hasher.Sum(), nil
}
