package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Store is the repository's files as secrets need them: read whole, and
// replaced whole or not at all. Nothing leads out of the repository.
type Store struct {
	dir   string
	root  *os.Root
	write func(*os.File, []byte) (int, error) // of tests: a disk that is full
}

// OpenStore opens the repository whose root is dir.
func OpenStore(dir string) (*Store, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the repository: %w", err)
	}
	return &Store{dir: dir, root: root, write: (*os.File).Write}, nil
}

// Close frees the root directory.
func (s *Store) Close() error { return s.root.Close() }

// ChangedError says that a file is not any more what it was when it was read.
type ChangedError struct{ File string }

func (e *ChangedError) Error() string {
	return e.File + " was changed by somebody else meanwhile: nothing was written"
}

// Read reads a file of at most 5 MiB, as kustomize-controller bounds SOPS files.
// The error is fs.ErrNotExist when there is none.
func (s *Store) Read(name string) ([]byte, error) {
	file, err := s.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, cause(err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxEncrypted+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, cause(err))
	}
	if len(data) > maxEncrypted {
		return nil, fmt.Errorf("reading %s: it has more than %d bytes", name, maxEncrypted)
	}
	return data, nil
}

// Replace makes a file hold after, when it still holds before; a before of nil
// means that there is no such file. The error is a *ChangedError when it holds
// something else. Whatever happens, the file holds the one or the other, whole.
func (s *Store) Replace(name string, before, after []byte) (err error) {
	defer func() {
		if changed := (*ChangedError)(nil); err != nil && !errors.As(err, &changed) {
			err = fmt.Errorf("writing %s: %w", name, cause(err))
		}
	}()
	folder := path.Dir(name)
	if err := s.root.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	mode, err := s.same(name, before)
	if err != nil {
		return err
	}
	temporary := path.Join(folder, ".archipel-"+NewToken()[:16])
	file, err := s.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() { _ = s.root.Remove(temporary) }() // it is gone after the rename
	_, err = s.write(file, after)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := s.root.Rename(temporary, name); err != nil {
		return err
	}
	if directory, err := s.root.Open(folder); err == nil { // so that a crash does not bring the old file back
		_ = directory.Sync()
		_ = directory.Close()
	}
	return nil
}

// same compares a file with what it held, and returns its mode.
func (s *Store) same(name string, before []byte) (fs.FileMode, error) {
	info, err := s.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if before != nil {
			return 0, &ChangedError{name}
		}
		return 0o644, nil
	case err != nil:
		return 0, err
	case before == nil:
		return 0, &ChangedError{name}
	case !info.Mode().IsRegular():
		return 0, errors.New("it is no regular file")
	}
	now, err := s.Read(name)
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(now, before) {
		return 0, &ChangedError{name}
	}
	return info.Mode().Perm(), nil
}

// lock keeps other runs of archipel from writing to the repository. It is a lock
// on the root directory, so that no file of it is left behind.
func (s *Store) lock() (unlock func(), err error) {
	root, err := s.root.Open(".")
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(root.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("locking the repository: %w", err)
	}
	return func() { _ = root.Close() }, nil
}

// maxFiles bounds how many entries of a repository are looked at.
const maxFiles = 200_000

// Files lists the files that SOPS encrypts by their names (*.sops.*), sorted.
// Hidden folders are left out.
func (s *Store) Files() ([]string, error) {
	var names []string
	seen := 0
	err := fs.WalkDir(s.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if seen++; seen > maxFiles {
			return fmt.Errorf("it holds more than %d files", maxFiles)
		}
		base := path.Base(name)
		if entry.IsDir() {
			if name != "." && strings.HasPrefix(base, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if IsSealedName(base) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for encrypted files in the repository: %w", cause(err))
	}
	return names, nil
}

// IsSealedName says whether a file is one of SOPS by its name: *.sops.*. The
// rules themselves, .sops.yaml, are none.
func IsSealedName(name string) bool {
	base := path.Base(name)
	at := strings.LastIndex(base, ".sops.")
	return at > 0 && at+len(".sops.") < len(base)
}

// cause drops the operation and the path, which the caller says better.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
