package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"archipel/internal/finding"
	"archipel/internal/source"
)

// Folders of the stack, from the repository's root.
const (
	tree        = "kubernetes"
	inventories = source.Marker
	flux        = "kubernetes/flux"
	clusters    = "kubernetes/flux/clusters"
	terraform   = "kubernetes/terraform"
)

// maxFiles bounds the tree: a stack of 500 sites has about 5000 files.
const maxFiles = 100_000

// ErrNoProgram is returned for a program that is not installed.
var ErrNoProgram = errors.New("the program is not installed")

// shared is what the rules of one run have in common.
type shared struct {
	ctx     context.Context
	program func(ctx context.Context, name string, args ...string) ([]byte, error)
	broken  bool     // the inventories have errors
	parsed  sync.Map // file name to *parsed
	memo    sync.Map // key to *cell

	mu      sync.Mutex
	skipped map[Skip]int // without Count, which is the value
}

// parsed is a YAML file, read when it is first asked for.
type parsed struct {
	once     sync.Once
	data     []byte
	yaml     *source.YAML
	findings []finding.Finding
}

// Read reads a file of the repository, which must not be larger than source.MaxSize.
func (f *Fleet) Read(file string) ([]byte, error) { return source.Read(f.FS, file) }

// Parsed returns a YAML file with positions, and nil when it is none that can be read.
// Each file is parsed once in a run.
func (f *Fleet) Parsed(file string) *source.YAML { return f.parse(file).yaml }

func (f *Fleet) parse(file string) *parsed {
	v, _ := f.shared.parsed.LoadOrStore(file, &parsed{})
	p := v.(*parsed)
	p.once.Do(func() {
		data, err := f.Read(file)
		if err != nil {
			p.findings = []finding.Finding{source.Unreadable(file, err)}
			return
		}
		p.data = data
		p.yaml, p.findings = source.ParseYAML(file, data)
	})
	return p
}

// Has reports whether the tree has a regular file or a symbolic link of that name.
func (f *Fleet) Has(file string) bool {
	_, ok := slices.BinarySearch(f.Files, file)
	return ok
}

// HasDir reports whether the tree has a directory of that name.
func (f *Fleet) HasDir(dir string) bool {
	_, ok := slices.BinarySearch(f.Dirs, dir)
	return ok
}

// All reports whether no site is left out.
func (f *Fleet) All() bool { return len(f.Sites) == len(f.Fleet.Sites) }

// Skip notes that a rule could not check something. The reason says how to have it checked.
func (f *Fleet) Skip(code, reason string) {
	f.shared.mu.Lock()
	defer f.shared.mu.Unlock()
	f.shared.skipped[Skip{Code: code, Reason: reason}]++
}

// Program runs a program in the repository's root and returns what it prints. The error is
// ErrNoProgram when there is none of that name.
func (f *Fleet) Program(name string, args ...string) ([]byte, error) {
	if f.shared.program == nil {
		return nil, ErrNoProgram
	}
	return f.shared.program(f.shared.ctx, name, args...)
}

// cell holds one value that is made once.
type cell struct {
	once  sync.Once
	value any
}

// once returns what compute returns for key, which it calls once in a run.
func once[K comparable, V any](f *Fleet, key K, compute func() V) V {
	v, _ := f.shared.memo.LoadOrStore(key, &cell{})
	c := v.(*cell)
	c.once.Do(func() { c.value = compute() })
	return c.value.(V)
}

// gathered is what a rule notes of each site.
type gathered[T any] struct {
	mu sync.Mutex
	of map[string]T
}

func (g *gathered[T]) put(site string, v T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.of == nil {
		g.of = map[string]T{}
	}
	g.of[site] = v
}

// all yields what was noted, by the names of the sites.
func (g *gathered[T]) all() iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for _, site := range slices.Sorted(maps.Keys(g.of)) {
			if !yield(site, g.of[site]) {
				return
			}
		}
	}
}

// walk lists the tree. What cannot be listed is a finding.
func (f *Fleet) walk() []finding.Finding {
	var findings []finding.Finding
	err := fs.WalkDir(f.FS, tree, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			findings = append(findings, source.Unreadable(name, err))
			if entry == nil || !entry.IsDir() {
				return nil
			}
			return fs.SkipDir
		case len(f.Files)+len(f.Dirs) >= maxFiles:
			findings = append(findings, source.Unreadable(tree, fmt.Errorf("the tree has more than %d files and folders", maxFiles)))
			return fs.SkipAll
		case entry.IsDir():
			if strings.HasPrefix(path.Base(name), ".") {
				return fs.SkipDir
			}
			f.Dirs = append(f.Dirs, name)
		case entry.Type().IsRegular(), entry.Type()&fs.ModeSymlink != 0:
			f.Files = append(f.Files, name)
		}
		return nil
	})
	if err != nil {
		findings = append(findings, source.Unreadable(tree, err))
	}
	slices.Sort(f.Files)
	slices.Sort(f.Dirs)
	return findings
}

// yamlFiles are the files that must be YAML: those of the tree but templates, which only
// become YAML, and those at the root of the repository that archipel and SOPS read.
func (f *Fleet) yamlFiles() []string {
	var names []string
	for _, name := range []string{".sops.yaml", "archipel.yaml"} {
		if _, err := fs.Stat(f.FS, name); err == nil {
			names = append(names, name)
		}
	}
	for _, name := range f.Files {
		if f.escapes(name) {
			continue // which has its own finding
		}
		if ext := path.Ext(name); (ext == ".yaml" || ext == ".yml") && !f.template(name) {
			names = append(names, name)
		}
	}
	return names
}

// escapes reports whether a file is a symbolic link that leads out of the repository.
func (f *Fleet) escapes(name string) bool {
	target, err := fs.ReadLink(f.FS, name)
	return err == nil && (path.IsAbs(target) || !fs.ValidPath(path.Join(path.Dir(name), target)))
}

// template reports whether a file is one of a chart's or of an Ansible role's templates.
func (f *Fleet) template(name string) bool {
	for dir := path.Dir(name); dir != "." && dir != tree; dir = path.Dir(dir) {
		if path.Base(dir) != "templates" {
			continue
		}
		above := path.Dir(dir)
		if f.Has(above+"/Chart.yaml") || path.Base(path.Dir(above)) == "roles" {
			return true
		}
	}
	return false
}

// SOPS reports whether SOPS encrypts the file, as its name says.
func (f *File) SOPS() bool { return sealed(f.Path) }

// sealed reports whether SOPS encrypts a file of that name.
func sealed(file string) bool { return strings.Contains(path.Base(file), ".sops.") }
