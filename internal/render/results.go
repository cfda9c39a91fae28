package render

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// resultsFormat changes when a build of the same inputs would be kept in another form.
const resultsFormat = "build 1"

// maxResults bounds the kept results, in bytes; the oldest go first.
const maxResults = 64 << 20

// results keeps what kustomize built, in a folder, by the digest of all that went
// into it. What it holds is as it stands in Git: encrypted values are encrypted.
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

func (r *results) load(key string) *built {
	if r.folder == "" {
		return nil
	}
	data, err := os.ReadFile(r.file(key))
	if err != nil {
		return nil
	}
	var objects []*builtObject
	if json.Unmarshal(data, &objects) != nil {
		return nil
	}
	return &built{objects: objects}
}

func (r *results) keep(key string, b *built) {
	if r.folder == "" {
		return
	}
	data, err := json.Marshal(b.objects)
	if err != nil {
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
	_, err = temporary.Write(data)
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
