// Package chart fetches charts and OCI artefacts through mirrors, verifies and caches them by digest.
package chart

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"archipel/internal/finding"
)

// Reference names a chart or an artefact as a repository's sources do. It says
// what is asked for, not what is there, and can be compared.
type Reference struct {
	Repository string // https://host/path of a folder with index.yaml, or oci://host/path
	Name       string // name of the chart; empty for the artefact that an OCIRepository names
	// Version is, for a chart, an exact version or a range, as in spec.chart.spec.version
	// ("" is "*"); for an artefact the tag ("" is "latest", unless SemVer or Digest is set).
	Version      string
	SemVer       string // range over an artefact's tags; wins over Version
	SemVerFilter string // regular expression that tags must match before SemVer is applied
	Digest       string // "sha256:...": of the artefact's manifest; wins over all others
	MediaType    string // of the layer to take; empty: the first one
	Insecure     bool   // plain HTTP to the registry
}

// String is how messages name a reference: "cilium 1.20.2 of https://helm.cilium.io".
func (r Reference) String() string {
	switch {
	case r.Name != "":
		return fmt.Sprintf("%s %s of %s", r.Name, or(r.Version, "*"), r.shown())
	case r.Digest != "":
		return r.shown() + "@" + r.Digest
	case r.SemVer != "":
		return fmt.Sprintf("%s with a tag in %s", r.shown(), r.SemVer)
	}
	return r.shown() + ":" + or(r.Version, "latest")
}

// compare sorts references, those of one repository together.
func (r Reference) compare(other Reference) int {
	return cmp.Or(
		strings.Compare(r.Repository, other.Repository), strings.Compare(r.Name, other.Name), strings.Compare(r.Version, other.Version),
		strings.Compare(r.SemVer, other.SemVer), strings.Compare(r.SemVerFilter, other.SemVerFilter),
		strings.Compare(r.Digest, other.Digest), strings.Compare(r.MediaType, other.MediaType),
	)
}

// shown is the repository without a password that somebody wrote into it.
func (r Reference) shown() string {
	u, err := url.Parse(r.Repository)
	if err != nil {
		return "a repository whose URL is none"
	}
	return u.Redacted()
}

// Package is the content of a chart or an artefact. It is shared: nobody may change it.
type Package struct {
	Name    string // of the chart; empty for an artefact
	Version string // the one chosen: a version, or the tag of an artefact; empty when the reference is a digest
	// Digest is "sha256:..." of the archive, or of the manifest when it comes from
	// an OCI registry: the revision that Flux shows.
	Digest string
	Files  []File // sorted by name
}

// File is a regular file of an archive.
type File struct {
	Name string // slash-separated, as in the archive: "cilium/Chart.yaml"
	Data []byte
}

// Chart returns the content of the chart's folder: names without their first
// element and text without a byte order mark, as Helm's loader has them.
func (p *Package) Chart() []File {
	files := make([]File, 0, len(p.Files))
	for _, f := range p.Files {
		if _, name, ok := strings.Cut(f.Name, "/"); ok {
			files = append(files, File{Name: name, Data: bytes.TrimPrefix(f.Data, []byte("\xEF\xBB\xBF"))})
		}
	}
	return files
}

// UnavailableError says that something cannot be had here and now. It may be all
// right elsewhere, or later.
type UnavailableError struct {
	Reference Reference
	Reason    string // one line: what is missing
	Err       error  // what went wrong; nil when the network was not to be touched
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%s cannot be fetched: %s", e.Reference, e.Reason)
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// DigestError says that something is not what was promised.
type DigestError struct {
	Reference Reference
	Want, Got string           // "sha256:..."
	By        string           // who promised: "archipel.lock", "the tree", or the URL of an index or a manifest
	Position  finding.Position // of the lock's entry; zero when the lock promised nothing
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("%s has the digest %s, but %s says %s", e.Reference, e.Got, e.By, e.Want)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
