package chart

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// cache is a folder of what was fetched, by digest:
//
//	sha256/HEX     an archive or a manifest, checked against its name when read
//	unpacked/HEX   the tar archive in the archive HEX, after a SHA-256 of itself:
//	               unpacking costs more than all else that a warm run does
//	exact/HEX      "DIGEST VERSION" of a reference to an exact version that is not
//	               in the lock; HEX is the SHA-256 of the reference
//
// A file is written whole under another name and renamed, so that any number of
// processes can share the folder. What is damaged counts as missing.
type cache struct{ dir string }

// digestOf returns "sha256:...".
func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// hexOf returns the digits of a digest, which are safe in a file name.
func hexOf(digest string) (string, bool) {
	digits, ok := strings.CutPrefix(digest, "sha256:")
	if sum, err := hex.DecodeString(digits); !ok || err != nil || len(sum) != sha256.Size || digits != strings.ToLower(digits) {
		return "", false
	}
	return digits, true
}

// blob returns the archive or manifest of a digest.
func (c cache) blob(digest string) ([]byte, bool) {
	data, ok := c.read("sha256", digest, maxArtefact)
	return data, ok && digestOf(data) == digest
}

func (c cache) putBlob(digest string, data []byte) error { return c.write("sha256", digest, data) }

// unpacked returns the tar archive that the packed archive of a digest holds.
func (c cache) unpacked(digest string) ([]byte, bool) {
	data, ok := c.read("unpacked", digest, sha256.Size+maxTotal)
	if !ok || len(data) < sha256.Size {
		return nil, false
	}
	archive := data[sha256.Size:]
	return archive, sha256.Sum256(archive) == [sha256.Size]byte(data)
}

func (c cache) putUnpacked(digest string, archive []byte) error {
	sum := sha256.Sum256(archive)
	return c.write("unpacked", digest, sum[:], archive)
}

// exact returns what a reference was found to be before.
func (c cache) exact(r Reference) (pin, bool) {
	const longest = 1 << 10
	data, ok := c.read("exact", digestOf([]byte(fmt.Sprintf("%#v", r))), longest)
	digest, version, complete := strings.Cut(string(data), " ")
	_, valid := hexOf(digest)
	return pin{digest: digest, version: version}, ok && complete && valid
}

func (c cache) putExact(r Reference, version, digest string) error {
	return c.write("exact", digestOf([]byte(fmt.Sprintf("%#v", r))), []byte(digest+" "+version))
}

func (c cache) read(kind, digest string, limit int64) ([]byte, bool) {
	name, ok := hexOf(digest)
	if !ok || c.dir == "" {
		return nil, false
	}
	f, err := os.Open(filepath.Join(c.dir, kind, name))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > limit {
		return nil, false
	}
	data := make([]byte, info.Size())
	_, err = io.ReadFull(f, data)
	return data, err == nil
}

func (c cache) write(kind, digest string, parts ...[]byte) error {
	name, ok := hexOf(digest)
	if !ok || c.dir == "" {
		return nil
	}
	dir := filepath.Join(c.dir, kind)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("caching charts: %w", err)
	}
	f, err := os.CreateTemp(dir, ".writing-*")
	if err != nil {
		return fmt.Errorf("caching charts: %w", err)
	}
	defer os.Remove(f.Name())
	for _, part := range parts {
		if _, err := f.Write(part); err != nil {
			return fmt.Errorf("caching charts: %w", errors.Join(err, f.Close()))
		}
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("caching charts: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("caching charts: %w", err)
	}
	return nil
}
