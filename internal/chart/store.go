package chart

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"archipel/internal/finding"
)

// Config says where a Store finds what it is asked for.
type Config struct {
	Cache   string              // folder, made when needed; empty: nothing is kept
	Lock    *Lock               // nil: nothing is locked
	Mirrors map[string][]string // host -> URLs to try before it; "*" for hosts that are not listed
	Offline bool                // never touch the network
	// Fresh resolves what is not in the lock at its repository, although it was
	// resolved before.
	Fresh    bool
	Docker   string       // folder of the docker config.json with credentials; empty: none
	Client   *http.Client // nil: TLS as the system trusts it, proxies as the environment says
	Progress func(string) // called with what is about to be fetched; nil, or safe for concurrent use
}

// Store fetches charts and artefacts, each once. It is safe for concurrent use.
type Store struct {
	config   Config
	cache    cache
	client   *http.Client
	auth     *auth.Client
	docker   *dockerConfig
	pause    time.Duration // before trying again; doubles each time
	packages memo[Reference, *Package]
	indexes  memo[string, *index]
	tagLists memo[string, []string]
}

// New returns a store. It touches neither disk nor network.
func New(config Config) *Store {
	s := &Store{
		config: config, cache: cache{config.Cache}, client: newClient(config.Client),
		docker: &dockerConfig{dir: config.Docker}, pause: time.Second / 2,
	}
	s.auth = &auth.Client{Client: s.client, Cache: auth.NewCache(), Credential: s.docker.credential}
	return s
}

// Get returns what a reference names: from memory, else from the cache, else
// from the network. What is in the lock is what the lock says. The error is an
// *UnavailableError when the reference may be all right, a *DigestError when
// what there is is not what was promised, and anything else when the reference
// or what it names is of no use.
func (s *Store) Get(ctx context.Context, r Reference) (*Package, error) {
	r.Repository = strings.TrimRight(r.Repository, "/")
	return s.packages.do(ctx, r, func() (*Package, error) {
		u, err := parse(r)
		if err != nil {
			return nil, err
		}
		p, err := s.load(ctx, r, u)
		return p, describe(ctx, r, err)
	})
}

// Use is a reference that was asked for, and what came of it.
type Use struct {
	Reference Reference
	Package   *Package
	Err       error
}

// Used returns what Get was asked for so far, sorted. Nothing may be asked for meanwhile.
func (s *Store) Used() []Use {
	s.packages.mu.Lock()
	defer s.packages.mu.Unlock()
	var uses []Use
	for r, c := range s.packages.calls {
		uses = append(uses, Use{Reference: r, Package: c.value, Err: c.err})
	}
	slices.SortFunc(uses, func(a, b Use) int { return a.Reference.compare(b.Reference) })
	return uses
}

// pin is what a reference must turn out to be, or was.
type pin struct {
	version, digest string
	by              string           // who demands it; empty: it is only what was found before
	position        finding.Position // of the lock's entry
}

// check refuses another digest than the one demanded.
func (p pin) check(r Reference, got string) error {
	if p.by == "" || p.digest == "" || p.digest == got {
		return nil
	}
	return &DigestError{Reference: r, Want: p.digest, Got: got, By: p.by, Position: p.position}
}

// parse checks a reference, which is as the tree has it.
func parse(r Reference) (*url.URL, error) {
	u, err := url.Parse(r.Repository)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != tlsRegistry:
		return nil, errors.New("the URL of a repository begins with https:// or oci:// and names a host")
	case u.User != nil:
		return nil, errors.New("the URL of a repository holds credentials: remove them; archipel takes credentials from the docker config")
	case u.Scheme != tlsRegistry && r.Name == "":
		return nil, fmt.Errorf("%s is no URL of an OCI artefact, which begins with oci://", r.Repository)
	}
	if _, ok := hexOf(r.Digest); r.Digest != "" && !ok {
		return nil, fmt.Errorf("%q is no digest: write sha256: and 64 hexadecimal digits", r.Digest)
	}
	if u.Scheme == tlsRegistry && r.Name != "" {
		u = u.JoinPath(r.Name)
	}
	if u.Scheme == tlsRegistry && r.Insecure {
		u.Scheme = plainRegistry
	}
	return u, nil
}

// describe adds what was asked for to an error.
func describe(ctx context.Context, r Reference, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if _, ok := errors.AsType[*DigestError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*UnavailableError](err); ok {
		return err
	}
	if failed, ok := errors.AsType[*failures](err); ok && !failed.missing() {
		return &UnavailableError{Reference: r, Reason: failed.Error(), Err: err}
	}
	return fmt.Errorf("fetching %s: %w", r, err)
}

func (s *Store) load(ctx context.Context, r Reference, u *url.URL) (*Package, error) {
	at, known := s.pinned(r)
	if known {
		p, err := s.cached(r, u, at)
		if p != nil || err != nil {
			return p, err
		}
	}
	if s.config.Offline {
		reason := "it is not in the cache, and --offline is given"
		if !known && !isExact(r) {
			reason = "it is not in " + LockFile + ", so its version is not known offline: run archipel lock"
		}
		return nil, &UnavailableError{Reference: r, Reason: reason}
	}
	if s.config.Progress != nil {
		s.config.Progress("fetching " + r.String())
	}
	fetch := s.fetchChart
	if isRegistry(u) {
		fetch = s.fetchArtefact
	}
	p, err := fetch(ctx, r, u, at)
	if err == nil && at.by == "" && isExact(r) {
		s.keep(s.cache.putExact(r, p.Version, p.Digest))
	}
	return p, err
}

// pinned returns what is known of a reference without asking its repository.
func (s *Store) pinned(r Reference) (pin, bool) {
	if r.Digest != "" {
		return pin{digest: r.Digest, by: "its source"}, true
	}
	if entry, ok := s.config.Lock.Find(r); ok {
		return pin{version: entry.Resolved, digest: entry.Digest, by: LockFile, position: entry.Position}, true
	}
	if s.config.Fresh || !isExact(r) {
		return pin{}, false
	}
	return s.cache.exact(r)
}

// cached returns what a digest names, or nil when the cache does not hold it.
func (s *Store) cached(r Reference, u *url.URL, at pin) (*Package, error) {
	archive := at.digest
	if isRegistry(u) {
		manifest, ok := s.cache.blob(at.digest)
		if !ok {
			return nil, nil
		}
		layer, err := pickLayer(manifest, r)
		if err != nil {
			return nil, err
		}
		archive = layer.Digest.String()
	}
	unpacked, ok := s.cache.unpacked(archive)
	if !ok {
		packed, ok := s.cache.blob(archive)
		if !ok {
			return nil, nil
		}
		return s.unpack(r, at.version, at.digest, archive, packed)
	}
	files, err := untar(unpacked, limitsOf(r), r.Name == "")
	if err != nil {
		return nil, err
	}
	return &Package{Name: r.Name, Version: at.version, Digest: at.digest, Files: files}, nil
}

// unpack makes a package of an archive that is what it should be.
func (s *Store) unpack(r Reference, version, digest, archive string, packed []byte) (*Package, error) {
	bounds := limitsOf(r)
	if len(packed) > bounds.packed {
		return nil, fmt.Errorf("the archive has more than %d MiB", bounds.packed>>20)
	}
	unpacked, err := gunzip(packed)
	if err != nil {
		return nil, err
	}
	files, err := untar(unpacked, bounds, r.Name == "")
	if err != nil {
		return nil, err
	}
	s.keep(s.cache.putBlob(archive, packed))
	s.keep(s.cache.putUnpacked(archive, unpacked))
	return &Package{Name: r.Name, Version: version, Digest: digest, Files: files}, nil
}

// keep reports that something could not be cached, which is no reason to fail.
func (s *Store) keep(err error) {
	if err != nil && s.config.Progress != nil {
		s.config.Progress(err.Error())
	}
}

// fetchChart gets a chart from a repository with an index.
func (s *Store) fetchChart(ctx context.Context, r Reference, u *url.URL, at pin) (*Package, error) {
	found, err := s.indexes.do(ctx, r.Repository, func() (*index, error) {
		data, err := s.get(ctx, u.JoinPath("index.yaml"), maxIndex)
		if err != nil {
			return nil, err
		}
		return parseIndex(data)
	})
	if err != nil {
		return nil, err
	}
	version := r.Version
	if at.by != "" && at.version != "" {
		version = at.version
	}
	entry, err := found.choose(r.Name, version)
	if err != nil {
		return nil, err
	}
	promised := pin{digest: entry.digest(), by: "the index of " + r.Repository}
	if promised.digest != "" {
		if err := at.check(r, promised.digest); err != nil {
			return nil, err
		}
	}
	from, err := entry.archiveURL(u)
	if err != nil {
		return nil, err
	}
	packed, err := s.get(ctx, from, limitsOf(r).packed)
	if err != nil {
		return nil, err
	}
	got := digestOf(packed)
	if err := errors.Join(promised.check(r, got), at.check(r, got)); err != nil {
		return nil, err
	}
	return s.unpack(r, entry.Version, got, got, packed)
}

// fetchArtefact gets a chart or an artefact from an OCI registry.
func (s *Store) fetchArtefact(ctx context.Context, r Reference, u *url.URL, at pin) (*Package, error) {
	version, err := s.tag(ctx, r, u, at)
	if err != nil {
		return nil, err
	}
	// What is locked is looked up by its tag too: the lock does not hide that the
	// tag means something else now.
	reference := or(r.Digest, version)
	if r.Name != "" {
		reference = strings.ReplaceAll(version, "+", "_") // as Helm writes versions in tags
	}
	manifest, err := s.manifest(ctx, u, reference)
	if err != nil {
		return nil, err
	}
	got := digestOf(manifest)
	if err := at.check(r, got); err != nil {
		return nil, err
	}
	layer, err := pickLayer(manifest, r)
	if err != nil {
		return nil, err
	}
	p, err := s.fetchLayer(ctx, r, u, layer, version, got)
	if err == nil {
		s.keep(s.cache.putBlob(got, manifest))
	}
	return p, err
}

func (s *Store) fetchLayer(ctx context.Context, r Reference, u *url.URL, layer ocispec.Descriptor, version, digest string) (*Package, error) {
	archive := layer.Digest.String()
	packed, ok := s.cache.blob(archive) // another version may hold the same layer
	if !ok {
		var err error
		if packed, err = s.layer(ctx, u, layer); err != nil {
			return nil, err
		}
	}
	promised := pin{digest: archive, by: "its manifest"}
	if err := promised.check(r, digestOf(packed)); err != nil {
		return nil, err
	}
	return s.unpack(r, version, digest, archive, packed)
}

// tag returns the tag that a reference stands for, with + for Helm's _ when it
// is the version of a chart; "" when it is a digest.
func (s *Store) tag(ctx context.Context, r Reference, u *url.URL, at pin) (string, error) {
	_, notExact := parseVersion(r.Version)
	switch {
	case r.Digest != "":
		return "", nil
	case at.by != "":
		return at.version, nil
	case r.Name == "" && r.SemVer == "":
		return or(r.Version, "latest"), nil
	case r.Name != "" && notExact == nil:
		return r.Version, nil
	}
	tags, err := s.tagLists.do(ctx, u.String(), func() ([]string, error) { return s.tags(ctx, u) })
	if err != nil {
		return "", err
	}
	if r.Name != "" {
		return chooseTag(tags, r.Version)
	}
	return chooseArtefactTag(tags, r)
}
