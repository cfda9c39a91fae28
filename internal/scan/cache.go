package scan

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"
)

// Folder is a Cache in a folder of its own for each version of the scanner.
type Folder struct{ dir string }

// OpenFolder returns the cache of a version of the scanner below a folder, and deletes those
// of other versions that were not used for a month.
func OpenFolder(parent, version string) Folder {
	sum := sha256.Sum256([]byte(version))
	dir := filepath.Join(parent, hex.EncodeToString(sum[:8]))
	const age = 30 * 24 * time.Hour
	entries, _ := os.ReadDir(parent) // none yet
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && entry.Name() != filepath.Base(dir) && time.Since(info.ModTime()) > age {
			_ = os.RemoveAll(filepath.Join(parent, entry.Name())) // the next run tries again
		}
	}
	return Folder{dir}
}

// Get returns an answer.
func (f Folder) Get(hash string) ([]byte, bool) {
	data, err := os.ReadFile(filepath.Join(f.dir, hash))
	return data, err == nil
}

// Put keeps an answer; another process sees all of it or nothing.
func (f Folder) Put(hash string, answer []byte) {
	if os.MkdirAll(f.dir, 0o700) != nil {
		return
	}
	file, err := os.CreateTemp(f.dir, ".new-")
	if err != nil {
		return
	}
	_, err = file.Write(answer)
	if closed := file.Close(); err != nil || closed != nil || os.Rename(file.Name(), filepath.Join(f.dir, hash)) != nil {
		_ = os.Remove(file.Name())
	}
}
