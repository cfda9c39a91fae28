package render

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// resultsFormat changes when a build of the same inputs would be kept in another form.
const resultsFormat = "build 1"

// maxResults bounds the kept results, in bytes; the oldest go first.
const maxResults = 512 << 20

// results keeps what kustomize built and what charts' templates gave, in a folder, by the
// digest of all that went into it. What it holds is as it stands in Git: encrypted values
// are encrypted, and what was made with decrypted ones is not kept.
// It may be deleted at any time. A result that cannot be read or written is built
// again: nothing fails for it.
type results struct {
	folder  string // "" keeps nothing
	program string // what built them: another program may build otherwise

	tidy sync.Once
}

func (r *results) file(key string) string {
	name := keyOf(r.program, key)
	return filepath.Join(r.folder, name[:2], name)
}

// load fills in what was kept, and reports whether there was something.
func (r *results) load(key string, into any) bool {
	if r.folder == "" {
		return false
	}
	data, err := os.ReadFile(r.file(key))
	return err == nil && gob.NewDecoder(bytes.NewReader(data)).Decode(into) == nil
}

func (r *results) keep(key string, value any) {
	if r.folder == "" {
		return
	}
	var data bytes.Buffer // not JSON: templates may give any bytes
	if gob.NewEncoder(&data).Encode(value) != nil {
		return
	}
	name := r.file(key)
	if os.MkdirAll(filepath.Dir(name), 0o700) != nil {
		return
	}
	r.tidy.Do(r.removeOldest)
	temporary, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(data.Bytes())
	if temporary.Close() == nil && err == nil {
		_ = os.Rename(temporary.Name(), name) // what is not kept is made again
	}
}

// removeOldest keeps the folder within its bound, once in a process.
func (r *results) removeOldest() {
	type kept struct {
		name string
		size int64
		at   time.Time
	}
	var all []kept
	var total int64
	files, _ := filepath.Glob(filepath.Join(r.folder, "*", "*"))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			all = append(all, kept{name, info.Size(), info.ModTime()})
			total += info.Size()
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.name, b.name)) })
	for _, k := range all {
		if total <= maxResults {
			return
		}
		os.Remove(k.name)
		total -= k.size
	}
}
