package secret

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"archipel/internal/fleet"
)

// stand is a repository with an operator, for tests.
type stand struct {
	*Store
	fleet *fleet.Fleet
	keys  *Keyring
	said  []string
}

func noon() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

// newStand makes an empty repository of sites, and an operator's identity.
func newStand(t *testing.T, sites ...string) *stand {
	t.Helper()
	store, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s := &stand{Store: store, fleet: &fleet.Fleet{}, keys: newKeyring(t)}
	for _, name := range sites {
		s.fleet.Sites = append(s.fleet.Sites, &fleet.Site{
			Name: name, Gateways: []string{name + "-server-1"},
			Facts: fleet.Facts{GitURL: "ssh://git@git.example.org/fleet.git", Interconnect: "wireguard"},
		})
	}
	return s
}

// newKeyring is a user with one identity.
func newKeyring(t *testing.T) *Keyring {
	t.Helper()
	identity, _, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := LoadKeyring(environment(map[string]string{KeyVariable: identity}))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func environment(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

func (s *stand) options() InitOptions {
	return InitOptions{
		Operator: "ann", Now: noon(),
		Say:        func(text string) { s.said = append(s.said, text) },
		KnownHosts: func(host string) (string, error) { return host + " ssh-ed25519 AAAA\n", nil },
		Password:   func(string) (string, string, bool, error) { return "flux", "git-password", true, nil },
	}
}

func (s *stand) init(t *testing.T) {
	t.Helper()
	if err := Init(s.Store, s.fleet, s.keys, s.options()); err != nil {
		t.Fatal(err)
	}
}

// files reads all files of the repository.
func (s *stand) files(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(s.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(s.dir, name))
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (s *stand) put(t *testing.T, name, content string) {
	t.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *stand) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		t.Fatal(err)
	}
}

// open opens a file as the operator.
func (s *stand) open(t *testing.T, name string) *File {
	t.Helper()
	f, _, err := OpenFile(s.Store, s.keys.Identities, name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (s *stand) get(t *testing.T, name string, path ...string) string {
	t.Helper()
	value, err := s.open(t, name).Get(path)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// full lets the disk be full at the n-th write from now, the first being 0, with
// half of the data written; from then on there is room again.
func (s *stand) full(n int) {
	s.write = func(file *os.File, data []byte) (int, error) {
		if n--; n == -1 {
			_, _ = file.Write(data[:len(data)/2])
			return 0, syscall.ENOSPC
		}
		return file.Write(data)
	}
}

// whole checks that no write left anything behind, and that no plaintext of a
// value stands anywhere.
func (s *stand) whole(t *testing.T) {
	t.Helper()
	for name, content := range s.files(t) {
		if strings.Contains(name, ".archipel-") {
			t.Errorf("%s was left behind", name)
		}
		if strings.Contains(content, "PRIVATE KEY") || strings.Contains(content, "AGE-SECRET") || strings.Contains(content, "git-password") {
			t.Errorf("%s holds a secret in plaintext", name)
		}
		if IsSealedName(name) {
			if _, err := ParseFile(name, []byte(content)); err != nil {
				t.Error(err)
			}
		}
	}
}
