package source

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// revisionForm is a name and the steps from it (gitrevisions(7)): ~n goes to
// the n-th ancestor, ^n to the n-th parent, ^{} and ^{commit} to what a tag names.
var revisionForm = regexp.MustCompile(`^([^~^]+)((?:~[0-9]*|\^[0-9]*|\^\{(?:commit)?\})*)$`)

var revisionStep = regexp.MustCompile(`~[0-9]*|\^\{(?:commit)?\}|\^[0-9]*`)

// referenceName is what may name a reference here: less than Git allows, and
// nothing that a path could go astray with.
var referenceName = regexp.MustCompile(`^[^\s\x00-\x20\x7f~^:?*\[\\@/.-][^\x00-\x20\x7f~^:?*\[\\]*$`)

var hexadecimal = regexp.MustCompile(`^[0-9a-f]{4,40}$`)

// Revision opens a commit by a name that gitrevisions(7) describes: a branch,
// a tag, a remote's branch, a hash of at least four digits, HEAD or @, and ~
// and ^ after any of them. An error is a *RevisionError that says what to do.
func (g *Git) Revision(name string) (*Revision, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	commit, err := g.commit(name)
	if err != nil {
		return nil, err
	}
	return g.open(name, commit)
}

// MergeBase opens the commit at which the histories of two revisions parted,
// the first of several as git merge-base prints it.
func (g *Git) MergeBase(a, b string) (*Revision, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	one, err := g.commit(a)
	if err != nil {
		return nil, err
	}
	other, err := g.commit(b)
	if err != nil {
		return nil, err
	}
	name := a + "..." + b
	bases, err := one.MergeBase(other)
	if err != nil {
		return nil, g.unreadable(name, err)
	}
	if len(bases) == 0 {
		reason := "they have no commit in common; name two revisions with .. instead"
		if g.shallow {
			reason = "their histories do not meet in this shallow clone; git fetch --unshallow gets all of it"
		}
		return nil, &RevisionError{name, reason}
	}
	return g.open(name, bases[0])
}

// commit finds the commit of a name. g.mu is held.
func (g *Git) commit(name string) (*object.Commit, error) {
	match := revisionForm.FindStringSubmatch(name)
	if match == nil {
		return nil, &RevisionError{name, "archipel knows a branch, a tag, a hash or HEAD, with ~ and ^ after it"}
	}
	hash, err := g.resolve(match[1])
	if err != nil {
		return nil, g.named(name, match[1], err)
	}
	commit, err := g.peel(hash)
	if err != nil {
		return nil, g.unreadable(name, err)
	}
	for _, step := range revisionStep.FindAllString(match[2], -1) {
		if strings.HasPrefix(step, "^{") {
			continue // peeled already
		}
		n := 1
		if step[1:] != "" {
			if n, err = strconv.Atoi(step[1:]); err != nil {
				return nil, &RevisionError{name, "the history is not that long"}
			}
		}
		times, parent := n, 1
		if step[0] == '^' {
			times, parent = min(n, 1), n
		}
		for range times {
			if commit, err = g.parent(name, commit, parent); err != nil {
				return nil, err
			}
		}
	}
	return commit, nil
}

// parent returns the n-th parent of a commit, from 1. g.mu is held.
func (g *Git) parent(name string, commit *object.Commit, n int) (*object.Commit, error) {
	if n > len(commit.ParentHashes) {
		return nil, &RevisionError{name, fmt.Sprintf("commit %.12s has %d parents; choose a commit that is there", commit.Hash, len(commit.ParentHashes))}
	}
	parent, err := object.GetCommit(g.store, commit.ParentHashes[n-1])
	if err != nil {
		return nil, g.unreadable(name, err)
	}
	return parent, nil
}

// errAmbiguous is a short hash that several commits begin with.
var errAmbiguous = errors.New("several commits begin with it; write more digits")

// errName is a name that no reference can have.
var errName = errors.New("not the name of a branch, a tag or a commit; quote nothing, and write the name as git branch --all prints it")

// resolve finds the object of a name, in the order of gitrevisions(7). g.mu is held.
func (g *Git) resolve(name string) (plumbing.Hash, error) {
	if plumbing.IsHash(name) {
		return plumbing.NewHash(name), nil
	}
	if name == "@" {
		name = "HEAD"
	}
	if !referenceName.MatchString(name) || strings.Contains(name, "..") || strings.Contains(name, "@{") || strings.Contains(name, "//") {
		return plumbing.ZeroHash, errName
	}
	for _, rule := range plumbing.RefRevParseRules {
		reference, err := storer.ResolveReference(g.refs, plumbing.ReferenceName(fmt.Sprintf(rule, name)))
		if err == nil && !reference.Hash().IsZero() {
			return reference.Hash(), nil
		}
	}
	if lower := strings.ToLower(name); hexadecimal.MatchString(lower) {
		return g.abbreviated(lower)
	}
	return plumbing.ZeroHash, plumbing.ErrReferenceNotFound
}

// abbreviated finds the only commit or tag whose hash begins so. g.mu is held.
func (g *Git) abbreviated(digits string) (plumbing.Hash, error) {
	prefix := plumbing.NewHash(digits[:len(digits)/2*2])
	var found []plumbing.Hash
	for _, s := range g.store.all {
		hashes, err := s.HashesWithPrefix(prefix[:len(digits)/2])
		if err != nil {
			return plumbing.ZeroHash, err
		}
		for _, h := range hashes {
			if !strings.HasPrefix(h.String(), digits) || slices.Contains(found, h) {
				continue
			}
			if _, err := g.peel(h); err == nil {
				found = append(found, h)
			}
		}
	}
	switch len(found) {
	case 0:
		return plumbing.ZeroHash, plumbing.ErrReferenceNotFound
	case 1:
		return found[0], nil
	}
	return plumbing.ZeroHash, errAmbiguous
}

// peel returns the commit that an object is or that a tag names. g.mu is held.
func (g *Git) peel(h plumbing.Hash) (*object.Commit, error) {
	for range maxTags {
		o, err := g.store.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return nil, err
		}
		switch o.Type() {
		case plumbing.CommitObject:
			return object.DecodeCommit(g.store, o)
		case plumbing.TagObject:
			tag, err := object.DecodeTag(g.store, o)
			if err != nil {
				return nil, err
			}
			h = tag.Target
		default:
			return nil, fmt.Errorf("it is a %s, not a commit", o.Type())
		}
	}
	return nil, errors.New("it is a tag of too many tags")
}

// named words the error for a name that stands for nothing.
func (g *Git) named(revision, name string, err error) error {
	if !errors.Is(err, plumbing.ErrReferenceNotFound) {
		return &RevisionError{revision, err.Error()}
	}
	reason := "no branch, tag or commit has that name; git fetch gets those of the remote, git branch --all lists the branches"
	switch {
	case name == "HEAD" || name == "@":
		reason = "there is no commit yet; git commit makes the first"
	case g.shallow:
		reason = "no branch, tag or commit has that name in this shallow clone; git fetch --unshallow gets all of the history"
	}
	return &RevisionError{revision, reason}
}

// unreadable words the error for an object that a commit needs.
func (g *Git) unreadable(revision string, err error) error {
	switch {
	case !errors.Is(err, plumbing.ErrObjectNotFound):
		return &RevisionError{revision, err.Error()}
	case g.shallow:
		return &RevisionError{revision, "the history of this shallow clone ends before it; git fetch --unshallow gets all of it"}
	}
	return &RevisionError{revision, "an object that it needs is not in the repository; git fetch gets it, git fsck tells what is broken"}
}
