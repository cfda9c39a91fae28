package secret

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestReplace(t *testing.T) {
	s := newStand(t)
	s.put(t, "old", "before")
	if err := os.Chmod(filepath.Join(s.dir, "old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := s.Replace("old", []byte("before"), []byte("after")); err != nil {
		t.Fatal(err)
	}
	if err := s.Replace("new/folder/file", nil, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if files := s.files(t); files["old"] != "after" || files["new/folder/file"] != "first" || len(files) != 2 {
		t.Errorf("got %v", files)
	}
	if info, err := os.Stat(filepath.Join(s.dir, "old")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestReplaceRefuses(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file   string
		before []byte
		full   bool
		error  string
	}{
		"changed":         {"file", []byte("something else"), false, "file was changed by somebody else meanwhile"},
		"there already":   {"file", nil, false, "file was changed by somebody else meanwhile"},
		"gone":            {"missing", []byte("before"), false, "missing was changed by somebody else meanwhile"},
		"disk full":       {"file", []byte("before"), true, "writing file: no space left on device"},
		"a link":          {"link", []byte("before"), false, "writing link: it is no regular file"},
		"a link outside":  {"outside", []byte("before"), false, "writing outside: it is no regular file"},
		"outside":         {"../file", nil, false, "writing ../file: "},
		"a folder":        {"folder", []byte("before"), false, "writing folder: it is no regular file"},
		"below a file":    {"file/below", nil, false, "writing file/below: "},
		"folder is a way": {"away/file", nil, false, "writing away/file: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.put(t, "file", "before")
			s.put(t, "folder/x", "x")
			for link, to := range map[string]string{"link": "file", "outside": outside, "away": filepath.Dir(outside)} {
				if err := os.Symlink(to, filepath.Join(s.dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			if test.full {
				s.full(0)
			}
			err := s.Replace(test.file, test.before, []byte("after"))
			if err == nil || !strings.HasPrefix(err.Error(), test.error) {
				t.Fatalf("got %v", err)
			}
			for _, file := range []string{filepath.Join(s.dir, "file"), outside} {
				if data, err := os.ReadFile(file); err != nil || string(data) != "before" {
					t.Errorf("%s: %q, %v", file, data, err)
				}
			}
			entries, err := os.ReadDir(s.dir)
			if err != nil || len(entries) != 5 {
				t.Errorf("%v, %v", entries, err)
			}
		})
	}
}

// Of many that begin with the same content one wins.
func TestReplaceTogether(t *testing.T) {
	s := newStand(t)
	s.put(t, "file", "before")
	var group sync.WaitGroup
	var mu sync.Mutex
	var won []string
	for i := range 8 {
		group.Go(func() {
			store, err := OpenStore(s.dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer store.Close()
			mine := fmt.Sprint("after ", i)
			err = store.Replace("file", []byte("before"), []byte(mine))
			if changed := (*ChangedError)(nil); err != nil && !errors.As(err, &changed) {
				t.Error(err)
			}
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				won = append(won, mine)
			}
		})
	}
	group.Wait()
	if len(won) != 1 || s.files(t)["file"] != won[0] {
		t.Errorf("%v won, the file holds %q", won, s.files(t)["file"])
	}
}

func TestIsSealedName(t *testing.T) {
	for name, sealed := range map[string]bool{
		"a.sops.yaml": true, "x/secrets.sops.yml": true, "a.sops.json": true, "a.b.sops.env": true,
		".sops.yaml": false, "sops.yaml": false, "a.yaml": false, "a.sops.": false, "a.sops": false, "x.sops.d/file.yaml": false,
	} {
		if IsSealedName(name) != sealed {
			t.Errorf("%s: %v", name, !sealed)
		}
	}
}
