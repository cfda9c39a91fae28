package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
	"archipel/internal/source"
)

// LockFile is where the lock stands, relative to the repository's root.
const LockFile = "archipel.lock"

// Lock is what archipel.lock says: what every reference of the tree was when
// somebody looked. A nil lock is empty.
type Lock struct{ entries map[Reference]Entry }

// Entry is what a reference is.
type Entry struct {
	Reference Reference // Repository, Name, Version, SemVer and SemVerFilter only
	Resolved  string    // the version or tag
	Digest    string    // as in Package
	Position  finding.Position
}

// key leaves out of a reference what does not change which version it is.
func key(r Reference) Reference {
	return Reference{Repository: r.Repository, Name: r.Name, Version: r.Version, SemVer: r.SemVer, SemVerFilter: r.SemVerFilter}
}

// Find returns the entry of a reference.
func (l *Lock) Find(r Reference) (Entry, bool) {
	if l == nil {
		return Entry{}, false
	}
	entry, ok := l.entries[key(r)]
	return entry, ok
}

// Entries returns all entries, sorted.
func (l *Lock) Entries() []Entry {
	if l == nil {
		return nil
	}
	var entries []Entry
	for _, entry := range l.entries {
		entries = append(entries, entry)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.Reference.compare(b.Reference) })
	return entries
}

// NewLock returns the lock of what was used. What a digest in the tree pins
// needs no entry, and what failed has none.
func NewLock(uses []Use) *Lock {
	l := &Lock{entries: map[Reference]Entry{}}
	for _, use := range uses {
		if use.Err == nil && use.Reference.Digest == "" {
			l.Add(Entry{Reference: use.Reference, Resolved: use.Package.Version, Digest: use.Package.Digest})
		}
	}
	return l
}

// Add sets the entry of a reference.
func (l *Lock) Add(entry Entry) {
	entry.Reference = key(entry.Reference)
	l.entries[entry.Reference] = entry
}

// The file's form.
const lockVersion = 1

type lockFile struct {
	Version int         `yaml:"version"`
	Entries []lockEntry `yaml:"entries"`
}

type lockEntry struct {
	Repository   string `yaml:"repository"`
	Name         string `yaml:"name,omitempty"`
	Version      string `yaml:"version,omitempty"`
	SemVer       string `yaml:"semver,omitempty"`
	SemVerFilter string `yaml:"semverFilter,omitempty"`
	Resolved     string `yaml:"resolved"`
	Digest       string `yaml:"digest"`
}

// Encode returns the content of archipel.lock, the same for equal locks.
func (l *Lock) Encode() ([]byte, error) {
	file := lockFile{Version: lockVersion, Entries: []lockEntry{}}
	for _, e := range l.Entries() {
		r := e.Reference
		file.Entries = append(file.Entries, lockEntry{r.Repository, r.Name, r.Version, r.SemVer, r.SemVerFilter, e.Resolved, e.Digest})
	}
	b := bytes.NewBufferString("# Written by archipel lock; commit it, do not edit it.\n")
	encoder := yaml.NewEncoder(b)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(file), encoder.Close()); err != nil {
		return nil, fmt.Errorf("writing %s: %w", LockFile, err)
	}
	return b.Bytes(), nil
}

// ReadLock reads the lock of a repository. What it cannot use is a finding. The
// lock is never nil; one that does not exist is empty.
func ReadLock(repo fs.FS) (*Lock, []finding.Finding) {
	l := &Lock{entries: map[Reference]Entry{}}
	if _, err := fs.Stat(repo, LockFile); errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	file, findings := source.ReadYAML(repo, LockFile)
	if file == nil || len(findings) > 0 || len(file.Documents) == 0 {
		return l, findings
	}
	invalid := func(n *yaml.Node, message string) {
		findings = append(findings, finding.Finding{
			Rule: "lock-invalid", Severity: finding.Error, Position: file.Position(n), Message: message,
			Fix: "restore the file from Git, or remove it and run archipel lock",
		})
	}
	root := file.Documents[0]
	var head struct {
		Version int         `yaml:"version"`
		Entries []yaml.Node `yaml:"entries"`
	}
	if err := root.Decode(&head); err != nil || head.Version != lockVersion {
		invalid(root, fmt.Sprintf("this is no lock of version %d", lockVersion))
		return l, findings
	}
	for i := range head.Entries {
		n := &head.Entries[i]
		var e lockEntry
		if err := n.Decode(&e); err != nil {
			invalid(n, "an entry of the lock is a mapping of names to text")
			continue
		}
		r := Reference{Repository: e.Repository, Name: e.Name, Version: e.Version, SemVer: e.SemVer, SemVerFilter: e.SemVerFilter}
		_, valid := hexOf(e.Digest)
		switch _, twice := l.entries[r]; {
		case e.Repository == "" || e.Resolved == "" || !valid:
			invalid(n, "an entry of the lock needs repository, resolved and a digest")
		case twice:
			invalid(n, fmt.Sprintf("the lock has two entries for %s", r))
		default:
			l.Add(Entry{Reference: r, Resolved: e.Resolved, Digest: e.Digest, Position: file.Position(n)})
		}
	}
	return l, findings
}
