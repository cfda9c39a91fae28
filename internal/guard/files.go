package guard

import (
	"io"
	"io/fs"

	"archipel/internal/source"
)

// maxFile bounds a file of the working tree in bytes, as source bounds those of Git.
const maxFile = 16 << 20

// Tree makes files of the working tree's, by their names from its root. Links, folders and
// what is not there hold nothing.
func Tree(repo fs.FS, names []string) []File {
	files := make([]File, len(names))
	for i, name := range names {
		files[i] = File{Name: name, Read: func() ([]byte, error) { return read(repo, name) }}
	}
	return files
}

func read(repo fs.FS, name string) ([]byte, error) {
	info, err := fs.Lstat(repo, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	if info.Size() > maxFile {
		return nil, source.ErrLarge
	}
	file, err := repo.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxFile))
}

// Git makes files of what Git keeps.
func Git(git *source.Git, blobs []source.Blob) []File {
	files := make([]File, len(blobs))
	for i, blob := range blobs {
		files[i] = File{Name: blob.Name, Commit: blob.Commit, id: blob.ID(), Read: func() ([]byte, error) { return git.Content(blob) }}
	}
	return files
}
