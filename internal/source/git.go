package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// Bounds on what a Git repository may ask of its reader.
const (
	maxObject     = 16 << 20 // bytes of a commit, a folder or a file
	maxCached     = 64 << 20 // bytes of files that are kept
	maxAlternates = 5        // repositories that lend objects to one another, as Git bounds them
	maxLinks      = 40       // symbolic links on the way to a file, as Linux bounds them
	maxTags       = 8        // tags of tags
)

// Git is the Git repository that a checkout belongs to, read without Git's
// program and without its configuration. It is safe for concurrent use.
type Git struct {
	dir     string // that holds HEAD and the index
	prefix  string // of the checkout below the root of the commits' trees; "." when it is that root
	shallow bool   // the history ends early

	mu      sync.Mutex // go-git's storage allows one reader at a time
	store   *objects
	refs    storer.ReferenceStorer
	folders map[plumbing.Hash]*object.Tree
	files   map[plumbing.Hash][]byte
	cached  int // bytes in files
}

// RevisionError is a revision that cannot be read.
type RevisionError struct {
	Revision string
	Reason   string // what to do about it included
}

func (e *RevisionError) Error() string {
	return fmt.Sprintf("revision %q: %s", e.Revision, e.Reason)
}

// Git opens the Git repository that holds the checkout: in its root or in a
// folder above it, or the one that a linked worktree names.
func (r *Repository) Git() (*Git, error) {
	// A path through a symbolic link has other folders above it than its target.
	dir, err := filepath.EvalSymlinks(r.dir)
	if err != nil {
		return nil, fmt.Errorf("opening the Git repository: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			prefix, err := filepath.Rel(at, dir)
			if err != nil {
				return nil, fmt.Errorf("opening the Git repository: %w", err)
			}
			g, err := openGit(filepath.Join(at, ".git"))
			if err != nil {
				return nil, fmt.Errorf("opening the Git repository of %s: %w", at, err)
			}
			g.prefix = filepath.ToSlash(prefix)
			return g, nil
		}
		if at == filepath.Dir(at) {
			return nil, fmt.Errorf("%s is in no Git repository, so there is no other revision of it: clone the fleet's repository with git", r.dir)
		}
	}
}

// OpenGit opens a Git repository by the folder that holds its objects: a bare one, or .git.
func OpenGit(dir string) (*Git, error) {
	g, err := openGit(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the Git repository %s: %w", dir, err)
	}
	g.prefix = "."
	return g, nil
}

// openGit opens what .git is: a folder, or a file that names one.
func openGit(dotGit string) (*Git, error) {
	dir, err := pointed(dotGit, "gitdir: ")
	if err != nil {
		return nil, err
	}
	dot := osfs.New(dir)
	shared := dir
	var both billy.Filesystem = dot
	// A linked worktree has a HEAD of its own and all else in the main one's folder.
	if _, err := os.Stat(filepath.Join(dir, "commondir")); err == nil {
		if shared, err = pointed(filepath.Join(dir, "commondir"), ""); err != nil {
			return nil, err
		}
		both = dotgit.NewRepositoryFilesystem(dot, osfs.New(shared))
	}
	if info, err := os.Stat(filepath.Join(shared, "objects")); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is no Git repository: it has no folder objects", shared)
	}
	if err := readable(shared); err != nil {
		return nil, err
	}
	storage := filesystem.NewStorage(both, cache.NewObjectLRU(maxObject))
	_, shallow := os.Stat(filepath.Join(shared, "shallow"))
	g := &Git{
		dir: dir, shallow: shallow == nil, refs: storage,
		store:   &objects{EncodedObjectStorer: storage, all: []*filesystem.ObjectStorage{&storage.ObjectStorage}},
		folders: map[plumbing.Hash]*object.Tree{}, files: map[plumbing.Hash][]byte{},
	}
	g.store.lend(filepath.Join(shared, "objects"), maxAlternates)
	return g, nil
}

// pointed returns the folder that a file of one line names, from the file's
// own folder; a folder names itself.
func pointed(file, prefix string) (string, error) {
	info, err := os.Stat(file)
	if err != nil || info.IsDir() {
		return file, err
	}
	line, err := firstBytes(file)
	if err != nil {
		return "", err
	}
	target, ok := strings.CutPrefix(strings.TrimSpace(line), prefix)
	if !ok || target == "" {
		return "", fmt.Errorf("%s does not name a folder after %q", file, prefix)
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(file), target)
	}
	if _, err := os.Stat(target); err != nil {
		return "", fmt.Errorf("%s names a folder that cannot be read (git worktree repair mends it): %w", file, err)
	}
	return target, nil
}

// firstBytes reads a small file.
func firstBytes(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return string(data), err
}

// readable refuses the formats that go-git does not read: it would find
// nothing in them, and say only that.
func readable(dir string) error {
	config, err := firstBytes(filepath.Join(dir, "config"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(strings.ToLower(config)) {
		key, value, _ := strings.Cut(line, "=")
		switch key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"`); {
		case key == "objectformat" && value != "sha1":
			return fmt.Errorf("its objects are named by %s, and archipel reads those of SHA-1 only", value)
		case key == "refstorage" && value != "files":
			return fmt.Errorf("its references are stored as %s, and archipel reads files only: git refs migrate --ref-format=files changes that", value)
		}
	}
	return nil
}

// objects reads the objects of a repository and of those that lend it theirs.
// go-git itself opens the lenders anew for each object, and knows no sizes of theirs.
type objects struct {
	storer.EncodedObjectStorer
	all []*filesystem.ObjectStorage // the repository's own first
}

// lend adds the repositories that a folder of objects names.
func (o *objects) lend(dir string, left int) {
	list, err := firstBytes(filepath.Join(dir, "info", "alternates"))
	if err != nil || left == 0 {
		return // most repositories have none; what is missing is found missing when it is read
	}
	for line := range strings.Lines(list) {
		lender := strings.TrimSpace(line)
		if lender == "" || lender[0] == '#' {
			continue
		}
		if !filepath.IsAbs(lender) {
			lender = filepath.Join(dir, lender)
		}
		storage := filesystem.NewObjectStorage(dotgit.New(osfs.New(filepath.Dir(lender))), cache.NewObjectLRU(maxObject))
		o.all = append(o.all, storage)
		o.lend(lender, left-1)
	}
}

// EncodedObject reads an object of at most maxObject bytes.
func (o *objects) EncodedObject(kind plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	for _, s := range o.all {
		if s.HasEncodedObject(h) != nil {
			continue
		}
		size, err := s.EncodedObjectSize(h)
		if err != nil {
			return nil, err
		}
		if size > maxObject {
			return nil, fmt.Errorf("larger than %d MiB", maxObject>>20)
		}
		return s.EncodedObject(kind, h)
	}
	return nil, plumbing.ErrObjectNotFound
}

// EncodedObjectSize returns the size of an object in bytes.
func (o *objects) EncodedObjectSize(h plumbing.Hash) (int64, error) {
	for _, s := range o.all {
		if s.HasEncodedObject(h) == nil {
			return s.EncodedObjectSize(h)
		}
	}
	return 0, plumbing.ErrObjectNotFound
}

// tree returns a folder. g.mu is held.
func (g *Git) tree(h plumbing.Hash) (*object.Tree, error) {
	if t, ok := g.folders[h]; ok {
		return t, nil
	}
	t, err := object.GetTree(g.store, h)
	if err != nil {
		return nil, err
	}
	g.folders[h] = t
	return t, nil
}

// blob returns the content of a file or the target of a link. g.mu is held.
func (g *Git) blob(h plumbing.Hash) ([]byte, error) {
	if data, ok := g.files[h]; ok {
		return data, nil
	}
	o, err := g.store.EncodedObject(plumbing.BlobObject, h)
	if err != nil {
		return nil, err
	}
	r, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxObject))
	if err != nil {
		return nil, err
	}
	if g.cached+len(data) <= maxCached {
		g.files[h], g.cached = data, g.cached+len(data)
	}
	return data, nil
}

// Revision is the tree of one commit as a file system. It holds regular files,
// folders and symbolic links; submodules are left out, as Flux leaves them out
// by default. A link that leads out of the checkout is an error when it is
// followed. It is safe for concurrent use.
type Revision struct {
	Name   string // as it was asked for
	Commit string // 40 hexadecimal digits

	git  *Git
	root plumbing.Hash // of the folder that is the checkout
}

// open makes a commit a Revision. g.mu is held.
func (g *Git) open(name string, commit *object.Commit) (*Revision, error) {
	r := &Revision{Name: name, Commit: commit.Hash.String(), git: g, root: commit.TreeHash}
	if g.prefix == "." {
		return r, nil
	}
	for part := range strings.SplitSeq(g.prefix, "/") {
		t, err := g.tree(r.root)
		if err != nil {
			return nil, g.unreadable(name, err)
		}
		found := false
		for _, e := range t.Entries {
			if e.Name == part && kindOf(e) == fs.ModeDir {
				r.root, found = e.Hash, true
			}
		}
		if !found {
			return nil, &RevisionError{name, fmt.Sprintf("that commit has no folder %s; choose one that has", g.prefix)}
		}
	}
	return r, nil
}

// errLinks is a chain of links that leads nowhere.
var errLinks = errors.New("too many symbolic links")

// errOutside is a link that must not be followed.
var errOutside = errors.New("the symbolic link leads out of the repository")

// find returns the entry of a name, with links on the way followed. g.mu is held.
func (r *Revision) find(op, name string, follow bool) (info, error) {
	fail := func(err error) (info, error) {
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			err = errors.New("the object is not in the repository; git fetch gets it")
		}
		return info{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	if !fs.ValidPath(name) {
		return fail(fs.ErrInvalid)
	}
	root := info{revision: r, name: ".", mode: fs.ModeDir | 0o755, hash: r.root}
	path := []info{root} // the folders from the root to where we are
	rest := strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		at := path[len(path)-1]
		switch {
		case part == "." || part == "":
			continue
		case part == ".." && len(path) == 1:
			return fail(errOutside)
		case part == "..":
			path = path[:len(path)-1]
			continue
		case !at.IsDir():
			return fail(fs.ErrNotExist)
		}
		t, err := r.git.tree(at.hash)
		if err != nil {
			return fail(err)
		}
		next, ok := r.entry(t, part)
		if !ok {
			return fail(fs.ErrNotExist)
		}
		if next.mode.Type() != fs.ModeSymlink || len(rest) == 0 && !follow {
			path = append(path, next)
			continue
		}
		if links++; links > maxLinks {
			return fail(errLinks)
		}
		target, err := r.git.blob(next.hash)
		if err != nil {
			return fail(err)
		}
		if len(target) > 4<<10 || bytes.HasPrefix(target, []byte("/")) {
			return fail(errOutside)
		}
		rest = append(strings.Split(string(target), "/"), rest...)
	}
	return path[len(path)-1], nil
}

// entry returns the entry of a folder by its name.
func (r *Revision) entry(t *object.Tree, name string) (info, bool) {
	for _, e := range t.Entries {
		if e.Name == name {
			return r.info(e)
		}
	}
	return info{}, false
}

// info describes an entry; false for what is not shown.
func (r *Revision) info(e object.TreeEntry) (info, bool) {
	mode := kindOf(e)
	// A name that no file system could hold is in no honest repository.
	if mode == fs.ModeIrregular || !fs.ValidPath(e.Name) || strings.Contains(e.Name, "/") || e.Name == "." {
		return info{}, false
	}
	if mode == fs.ModeDir {
		mode |= 0o755
	} else if perm, err := e.Mode.ToOSFileMode(); err == nil {
		mode |= perm.Perm()
	}
	return info{revision: r, name: e.Name, mode: mode, hash: e.Hash}, true
}

// Open implements fs.FS.
func (r *Revision) Open(name string) (fs.File, error) {
	r.git.mu.Lock()
	defer r.git.mu.Unlock()
	found, err := r.find("open", name, true)
	if err != nil {
		return nil, err
	}
	found.name = path.Base(name)
	return &file{info: found, path: name}, nil
}

// Stat implements fs.StatFS.
func (r *Revision) Stat(name string) (fs.FileInfo, error) { return r.stat("stat", name, true) }

// Lstat implements fs.ReadLinkFS.
func (r *Revision) Lstat(name string) (fs.FileInfo, error) { return r.stat("lstat", name, false) }

func (r *Revision) stat(op, name string, follow bool) (fs.FileInfo, error) {
	r.git.mu.Lock()
	defer r.git.mu.Unlock()
	found, err := r.find(op, name, follow)
	if err != nil {
		return nil, err
	}
	found.name = path.Base(name)
	return found, nil
}

// ReadLink implements fs.ReadLinkFS.
func (r *Revision) ReadLink(name string) (string, error) {
	r.git.mu.Lock()
	defer r.git.mu.Unlock()
	found, err := r.find("readlink", name, false)
	if err != nil {
		return "", err
	}
	if found.mode.Type() != fs.ModeSymlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	target, err := r.git.blob(found.hash)
	return string(target), err
}

// ReadDir implements fs.ReadDirFS.
func (r *Revision) ReadDir(name string) ([]fs.DirEntry, error) {
	r.git.mu.Lock()
	defer r.git.mu.Unlock()
	found, err := r.find("readdir", name, true)
	if err != nil {
		return nil, err
	}
	return found.list(name)
}

// ReadFile implements fs.ReadFileFS.
func (r *Revision) ReadFile(name string) ([]byte, error) {
	r.git.mu.Lock()
	defer r.git.mu.Unlock()
	found, err := r.find("read", name, true)
	if err != nil {
		return nil, err
	}
	data, err := found.read(name)
	return bytes.Clone(data), err
}
