package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/hash"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// Bounds on what Git keeps. Each file of an index takes about 100 bytes.
const (
	maxIndex   = 256 << 20 // bytes
	maxFolders = 256       // within one another
)

// ErrLarge is a file that is larger than archipel reads from Git.
var ErrLarge = errors.New("larger than 16 MiB")

// Blob is a regular file that Git keeps.
type Blob struct {
	Name   string // slash-separated, from the root of the commits' trees
	Commit string // the oldest that holds it, 40 hexadecimal digits; "" in the index

	hash plumbing.Hash
}

// ID is the name that Git gives to what the file holds: 40 hexadecimal digits.
func (b Blob) ID() string { return b.hash.String() }

// MakeBlob returns a Blob of Git's, by what its fields and ID said before.
func MakeBlob(name, commit, id string) Blob {
	return Blob{Name: name, Commit: commit, hash: plumbing.NewHash(id)}
}

// ContentID is the name that Git would give to what a file holds.
func ContentID(data []byte) string { return plumbing.ComputeHash(plumbing.BlobObject, data).String() }

// Content returns what a file holds. The error is ErrLarge when that is too much.
func (g *Git) Content(b Blob) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if size, err := g.store.EncodedObjectSize(b.hash); err == nil && size > maxObject {
		return nil, ErrLarge
	}
	o, err := g.store.EncodedObject(plumbing.BlobObject, b.hash)
	if err != nil {
		return nil, g.unreadable(cmp.Or(b.Commit, "the index"), err)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, fmt.Errorf("reading %s from Git: %w", b.Name, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxObject))
	if err != nil {
		return nil, fmt.Errorf("reading %s from Git: %w", b.Name, err)
	}
	return data, nil
}

// Shallow says that the history ends early.
func (g *Git) Shallow() bool { return g.shallow }

// Staged lists the regular files that the index adds to or changes in the commit HEAD,
// in the index's order. name is the file of the index, which Git gives to a hook in
// $GIT_INDEX_FILE; "" is the checkout's own.
func (g *Git) Staged(name string) ([]Blob, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	staged, err := readIndex(cmp.Or(name, filepath.Join(g.dir, "index")))
	if err != nil {
		return nil, fmt.Errorf("reading the index of Git: %w", err)
	}
	committed := map[string]plumbing.Hash{}
	head, err := storer.ResolveReference(g.refs, plumbing.HEAD)
	switch {
	case errors.Is(err, plumbing.ErrReferenceNotFound): // nothing was committed yet
	case err != nil:
		return nil, g.unreadable("HEAD", err)
	default:
		commit, err := object.GetCommit(g.store, head.Hash())
		if err != nil {
			return nil, g.unreadable("HEAD", err)
		}
		note := func(name string, h plumbing.Hash) { committed[name] = h }
		if err := g.regular(commit.TreeHash, "", 0, func(plumbing.Hash) bool { return true }, note); err != nil {
			return nil, g.unreadable("HEAD", err)
		}
	}
	var changed []Blob
	for _, entry := range staged.Entries {
		if isRegular(entry.Mode) && !entry.IntentToAdd && committed[entry.Name] != entry.Hash {
			changed = append(changed, Blob{Name: entry.Name, hash: entry.Hash})
		}
	}
	return changed, nil
}

func isRegular(mode filemode.FileMode) bool {
	return mode == filemode.Regular || mode == filemode.Executable || mode == filemode.Deprecated
}

// readIndex reads an index; none is one without files.
func readIndex(name string) (*index.Index, error) {
	staged := &index.Index{}
	file, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return staged, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxIndex+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxIndex {
		return nil, fmt.Errorf("larger than %d MiB", maxIndex>>20)
	}
	// Git may leave out the checksum (index.skipHash), which go-git insists on.
	if at := len(data) - hash.Size; at > 0 && bytes.Equal(data[at:], make([]byte, hash.Size)) {
		sum := hash.New(hash.CryptoType)
		_, _ = sum.Write(data[:at]) // never fails for a hash
		data = sum.Sum(data[:at:at])
	}
	err = index.NewDecoder(bytes.NewReader(data)).Decode(staged)
	if errors.Is(err, index.ErrUnknownExtension) {
		return nil, errors.New("it is split or sparse, which archipel does not read: " +
			"git update-index --no-split-index, or git sparse-checkout reapply --no-sparse-index, changes that")
	}
	return staged, err
}

// regular calls see for each regular file in and below a folder. A folder that enter
// refuses is left out. g.mu is held.
func (g *Git) regular(folder plumbing.Hash, name string, depth int, enter func(plumbing.Hash) bool, see func(name string, h plumbing.Hash)) error {
	if depth > maxFolders {
		return fmt.Errorf("more than %d folders lie within one another", maxFolders)
	}
	if !enter(folder) {
		return nil
	}
	tree, err := object.GetTree(g.store, folder)
	if err != nil {
		return err
	}
	for _, entry := range tree.Entries {
		switch at := path.Join(name, entry.Name); {
		case entry.Mode == filemode.Dir:
			if err := g.regular(entry.Hash, at, depth+1, enter, see); err != nil {
				return err
			}
		case isRegular(entry.Mode):
			see(at, entry.Hash)
		}
	}
	return nil
}

// Commit is one of the history.
type Commit struct {
	ID string // 40 hexadecimal digits

	tree plumbing.Hash
	when time.Time
}

// History lists the commits that a branch, a tag, a remote's branch, the stash or HEAD leads
// to, oldest first.
func (g *Git) History(ctx context.Context) ([]Commit, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reachable(ctx)
}

// Contents lists the regular files of commits, in their order. A content is listed once under
// each base name that it had.
func (g *Git) Contents(ctx context.Context, commits []Commit) ([]Blob, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	type named struct {
		hash plumbing.Hash
		base string
	}
	var blobs []Blob
	seen, folders := map[named]bool{}, map[plumbing.Hash]bool{}
	enter := func(h plumbing.Hash) bool {
		before := folders[h]
		folders[h] = true
		return !before
	}
	for _, c := range commits {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		err := g.regular(c.tree, "", 0, enter, func(name string, h plumbing.Hash) {
			if key := (named{h, path.Base(name)}); !seen[key] {
				seen[key] = true
				blobs = append(blobs, Blob{Name: name, Commit: c.ID, hash: h})
			}
		})
		if err != nil {
			return nil, g.unreadable(c.ID, err)
		}
	}
	return blobs, nil
}

// reachable returns all commits, oldest first. g.mu is held.
func (g *Git) reachable(ctx context.Context) ([]Commit, error) {
	var left []plumbing.Hash
	references, err := g.refs.IterReferences()
	if err != nil {
		return nil, fmt.Errorf("reading the branches and tags: %w", err)
	}
	err = references.ForEach(func(r *plumbing.Reference) error {
		if r.Type() == plumbing.HashReference {
			left = append(left, r.Hash())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the branches and tags: %w", err)
	}
	starts := len(left)
	var commits []Commit
	seen := map[plumbing.Hash]bool{}
	for i := 0; i < len(left); i++ {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		h := left[i]
		if seen[h] {
			continue
		}
		seen[h] = true
		commit, err := g.peel(h)
		switch {
		case err == nil:
		case errors.Is(err, plumbing.ErrObjectNotFound) && g.shallow && i >= starts:
			continue // here the clone ends
		case errors.Is(err, plumbing.ErrObjectNotFound):
			return nil, g.unreadable(h.String(), err)
		case i < starts:
			continue // a tag of something that is no commit
		default:
			return nil, g.unreadable(h.String(), err)
		}
		seen[commit.Hash] = true
		commits = append(commits, Commit{commit.Hash.String(), commit.TreeHash, commit.Committer.When})
		left = append(left, commit.ParentHashes...)
	}
	slices.SortFunc(commits, func(a, b Commit) int { return cmp.Or(a.when.Compare(b.when), strings.Compare(a.ID, b.ID)) })
	return slices.CompactFunc(commits, func(a, b Commit) bool { return a.ID == b.ID }), nil
}
