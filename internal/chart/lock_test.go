package chart

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"archipel/internal/finding"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got:\n%s\nwant:\n%s", file, got, want)
	}
}

func TestLock(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	p := func(version string) *Package { return &Package{Version: version, Digest: digest} }
	uses := []Use{
		{Reference: Reference{Repository: "oci://ghcr.io/fluxcd/flux-manifests", Version: "v2.9.5"}, Package: p("v2.9.5")},
		{Reference: Reference{Repository: "https://helm.cilium.io", Name: "cilium", Version: "1.20.2"}, Package: p("1.20.2")},
		{Reference: Reference{Repository: "https://helm.cilium.io", Name: "cilium", Version: ">=1.20: x #y"}, Package: p("1.20.2")},
		{Reference: Reference{Repository: "oci://example/a", SemVer: "1.x", SemVerFilter: "^1", MediaType: "a"}, Package: p("1.0.0")},
		{Reference: Reference{Repository: "oci://example/a", SemVer: "1.x", SemVerFilter: "^1", Insecure: true}, Package: p("1.0.0")},
		{Reference: Reference{Repository: "oci://example/a", Digest: digest}, Package: p("")},
		{Reference: Reference{Repository: "https://gone.example", Name: "a"}, Err: &UnavailableError{}},
	}
	lock := NewLock(uses)
	data, err := lock.Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/lock.golden", data)

	read, findings := ReadLock(fstest.MapFS{LockFile: {Data: data}})
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	if again, err := read.Encode(); err != nil || !bytes.Equal(again, data) {
		t.Errorf("%v\n%s", err, again)
	}
	entry, ok := read.Find(uses[3].Reference)
	if !ok || entry.Resolved != "1.0.0" || entry.Digest != digest || entry.Position.Line == 0 {
		t.Errorf("%+v", entry)
	}
	for _, use := range uses[5:] {
		if _, ok := read.Find(use.Reference); ok {
			t.Errorf("%s is locked", use.Reference)
		}
	}
	var none *Lock
	if _, ok := none.Find(uses[0].Reference); ok || none.Entries() != nil {
		t.Error("a nil lock has entries")
	}
}

func TestLockMissing(t *testing.T) {
	for _, repo := range []fstest.MapFS{{}, {LockFile: {}}} {
		if lock, findings := ReadLock(repo); lock == nil || len(findings) > 0 || len(lock.Entries()) > 0 {
			t.Errorf("%+v %v", lock, findings)
		}
	}
}

func TestLockRejected(t *testing.T) {
	files, err := filepath.Glob("testdata/rejected/*.lock")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		repo := fstest.MapFS{LockFile: {Data: data}}
		lock, findings := ReadLock(repo)
		if len(findings) == 0 || lock == nil {
			t.Errorf("%s: accepted", file)
		}
		var got bytes.Buffer
		if err := finding.Text(&got, repo, findings, false); err != nil {
			t.Fatal(err)
		}
		golden(t, strings.TrimSuffix(file, ".lock")+".golden", got.Bytes())
	}
}

func FuzzReadLock(f *testing.F) {
	data, _ := os.ReadFile("testdata/lock.golden")
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, findings := ReadLock(fstest.MapFS{LockFile: {Data: data}})
		for _, f := range findings {
			if f.Position.File != LockFile || f.Message == "" {
				t.Errorf("%+v", f)
			}
		}
		for _, entry := range lock.Entries() {
			if _, ok := hexOf(entry.Digest); !ok || entry.Position.Line == 0 {
				t.Errorf("%+v", entry)
			}
		}
	})
}
