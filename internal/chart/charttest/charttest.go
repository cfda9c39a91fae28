// Package charttest serves charts and artefacts as Helm repositories and OCI registries do, for tests.
package charttest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Server is a Helm repository at /charts and an OCI registry at /v2, over TLS on
// a loopback address.
type Server struct {
	*httptest.Server
	// User and Password are asked for when set: as the registry's token service
	// has it below /v2, plainly elsewhere.
	User, Password string
	// Intercept may answer a request itself; it returns false to let the server do.
	Intercept func(http.ResponseWriter, *http.Request) bool

	mu       sync.Mutex
	requests []string
	files    map[string][]byte // by path
	entries  map[string][]entry
	types    map[string]string // media type of a manifest, by digest
	tags     map[string]map[string]bool
}

type entry struct {
	Version string   `json:"version"`
	Name    string   `json:"name"`
	Digest  string   `json:"digest,omitempty"`
	URLs    []string `json:"urls"`
	Created string   `json:"created,omitempty"`
}

// token is what the registry's token service gives.
const token = "token-of-the-test"

// Start starts a server without content, which stops when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{files: map[string][]byte{}, entries: map[string][]entry{}, types: map[string]string{}, tags: map[string]map[string]bool{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// Host is the server's host:port.
func (s *Server) Host() string { return s.Listener.Addr().String() }

// Certificates is the PEM file of what a client must trust.
func (s *Server) Certificates() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// Requests returns the paths asked for so far, in order.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count returns how many requests so far had paths with this ending.
func (s *Server) Count(ending string) int {
	n := 0
	for _, path := range s.Requests() {
		if strings.HasSuffix(path, ending) {
			n++
		}
	}
	return n
}

// Chart adds an archive to the Helm repository and returns its digest.
func (s *Server) Chart(name, version string, archive []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	file := name + "-" + version + ".tgz"
	s.files["/charts/"+file] = archive
	s.entries[name] = append(s.entries[name], entry{Version: version, Name: name, Digest: hexDigest(archive), URLs: []string{file}})
	return "sha256:" + hexDigest(archive)
}

// File serves a file at a path.
func (s *Server) File(path string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = data
}

// Push adds an artefact of one layer to the registry and returns the digest of
// its manifest.
func (s *Server) Push(repository, tag, mediaType string, layer []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	config := []byte("{}")
	describe := func(mediaType string, data []byte) descriptor {
		digest := "sha256:" + hexDigest(data)
		s.files["/v2/"+repository+"/blobs/"+digest] = data
		return descriptor{mediaType, digest, len(data)}
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": describe("application/vnd.oci.empty.v1+json", config),
		"layers": []descriptor{describe(mediaType, layer)},
	})
	if err != nil {
		panic(err) // of a literal
	}
	digest := "sha256:" + hexDigest(manifest)
	s.files["/v2/"+repository+"/manifests/"+digest] = manifest
	s.files["/v2/"+repository+"/manifests/"+tag] = manifest
	s.types[digest] = manifestType
	if s.tags[repository] == nil {
		s.tags[repository] = map[string]bool{}
	}
	s.tags[repository][tag] = true
	return digest
}

// Media types of layers: of Helm's charts and of Flux's artefacts.
const (
	ChartLayer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	FluxLayer  = "application/vnd.cncf.flux.content.v1.tar+gzip"
)

// Chart returns the archive of a small chart.
func Chart(name, version string) []byte {
	return Archive(map[string]string{
		name + "/Chart.yaml":             fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version),
		name + "/values.yaml":            "{}\n",
		name + "/templates/object.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n",
		name + "/templates/_helpers.tpl": "",
	})
}

// Archive returns a tgz of files, in the order of their names.
func Archive(files map[string]string) []byte {
	var headers []tar.Header
	for _, name := range slices.Sorted(maps.Keys(files)) {
		headers = append(headers, tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name]))})
	}
	return Tar(headers, files)
}

// Tar returns a tgz with these headers; those of files are followed by their content.
func Tar(headers []tar.Header, files map[string]string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := range headers {
		if err := w.WriteHeader(&headers[i]); err != nil {
			panic(err) // of a header in a test
		}
		if _, err := w.Write([]byte(files[headers[i].Name])); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.URL.Path)
	s.mu.Unlock()
	if s.Intercept != nil && s.Intercept(w, r) || !s.allowed(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch data, there := s.files[r.URL.Path]; {
	case there && strings.Contains(r.URL.Path, "/manifests/"):
		digest := "sha256:" + hexDigest(data)
		w.Header().Set("Content-Type", s.types[digest])
		w.Header().Set("Docker-Content-Digest", digest)
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data)
	case there:
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data)
	case r.URL.Path == "/charts/index.yaml":
		answer(w, map[string]any{"apiVersion": "v1", "entries": s.entries})
	case strings.HasSuffix(r.URL.Path, "/tags/list"):
		repository := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v2/"), "/tags/list")
		answer(w, map[string]any{"name": repository, "tags": slices.Sorted(maps.Keys(s.tags[repository]))})
	default:
		http.NotFound(w, r)
	}
}

// allowed answers a request that lacks credentials itself.
func (s *Server) allowed(w http.ResponseWriter, r *http.Request) bool {
	if s.User == "" {
		return true
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(s.User+":"+s.Password))
	given := r.Header.Get("Authorization")
	switch {
	case r.URL.Path == "/token" && given == basic:
		answer(w, map[string]string{"token": token})
	case strings.HasPrefix(r.URL.Path, "/v2/") && given != "Bearer "+token:
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test"`, s.URL))
		http.Error(w, "{}", http.StatusUnauthorized)
	case !strings.HasPrefix(r.URL.Path, "/v2/") && given != basic:
		http.Error(w, "", http.StatusUnauthorized)
	default:
		return true
	}
	return false
}

// answer writes JSON. A client that has gone away wants nothing.
func answer(w http.ResponseWriter, value any) { _ = json.NewEncoder(w).Encode(value) }

func hexDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
