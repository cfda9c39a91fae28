package chart

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"archipel/internal/chart/charttest"
)

// A repository and a registry that only a mirror can stand for: nothing here
// may leave the machine.
const (
	helmURL     = "https://helm.example"
	registryURL = "oci://registry.example"
)

// newStore returns a store that trusts the server and finds both hosts there.
func newStore(t *testing.T, server *charttest.Server, change func(*Config)) *Store {
	t.Helper()
	client := *server.Client()
	transport := client.Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if !strings.HasPrefix(address, "127.0.0.1:") {
			return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	client.Transport = transport
	t.Cleanup(transport.CloseIdleConnections)
	config := Config{
		Cache: filepath.Join(t.TempDir(), "charts"), Client: &client,
		Mirrors: map[string][]string{"helm.example": {server.URL + "/charts"}, "*": {server.URL}},
	}
	if change != nil {
		change(&config)
	}
	s := New(config)
	s.pause = 0
	return s
}

func offline(c *Config) { c.Offline = true }

func get(t *testing.T, s *Store, r Reference) *Package {
	t.Helper()
	p, err := s.Get(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func fails(t *testing.T, s *Store, r Reference, want string) error {
	t.Helper()
	p, err := s.Get(t.Context(), r)
	if err == nil {
		t.Fatalf("%s: got %+v, want an error with %q", r, p, want)
	}
	if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: error %q, want %q", r, err, want)
	}
	return err
}

func TestChart(t *testing.T) {
	server := charttest.Start(t)
	for _, version := range []string{"1.0.0", "1.9.0", "1.10.0", "2.0.0-rc.1", "v3.0.0", "not.a.version"} {
		server.Chart("app", version, charttest.Chart("app", version))
	}
	for asked, want := range map[string]string{
		"": "v3.0.0", "*": "v3.0.0", "1.9.0": "1.9.0", "1.x": "1.10.0", ">=1.0.0 <1.10.0": "1.9.0",
		"2.0.0-rc.1": "2.0.0-rc.1", ">=2.0.0-0 <3.0.0": "2.0.0-rc.1", "v3.0.0": "v3.0.0", "3.0.0": "v3.0.0",
	} {
		p := get(t, newStore(t, server, nil), Reference{Repository: helmURL, Name: "app", Version: asked})
		archive := charttest.Chart("app", want)
		if p.Name != "app" || p.Version != want || p.Digest != digestOf(archive) || len(p.Files) != 4 || p.Files[0].Name != "app/Chart.yaml" {
			t.Errorf("%q: %s %s %s %d files", asked, p.Name, p.Version, p.Digest, len(p.Files))
		}
		if files := p.Chart(); files[0].Name != "Chart.yaml" || !strings.Contains(string(files[0].Data), want) {
			t.Errorf("%q: %+v", asked, files[0])
		}
	}
	s := newStore(t, server, nil)
	fails(t, s, Reference{Repository: helmURL, Name: "gone"}, `has no chart "gone"`)
	fails(t, s, Reference{Repository: helmURL, Name: "app", Version: "4.0.0"}, "no version 4.0.0 of it; the newest is v3.0.0")
	fails(t, s, Reference{Repository: helmURL, Name: "app", Version: "not.a.version"}, "neither a version nor a range")
	fails(t, s, Reference{Repository: helmURL, Name: "app", Version: "latest"}, "neither a version nor a range")
	if n := server.Count("/index.yaml"); n != 10 {
		t.Errorf("%d requests for the index", n)
	}
}

func TestIndexForms(t *testing.T) {
	server := charttest.Start(t)
	archive := charttest.Chart("app", "1.0.0")
	server.File("/charts/deep/app.tgz", archive)
	good := digestOf(archive)
	for _, test := range []struct{ index, want string }{
		{"apiVersion: v1\nentries:\n  app:\n  - {version: 1.0.0, urls: [deep/app.tgz]}\n", ""},
		{"apiVersion: v1\nentries:\n  app:\n  - {version: 1.0.0, created: 2026-01-02T03:04:05Z, urls: ['" + helmURL + "/deep/app.tgz'], digest: '" + good + "'}\n", ""},
		{"apiVersion: v1\nentries:\n  app:\n  - {version: 1.0.0, urls: [deep/app.tgz], digest: " + strings.Repeat("0", 64) + "}\n", "the index of " + helmURL + " says sha256:000"},
		{"apiVersion: v1\nentries:\n  app:\n  - {version: 1.0.0, urls: []}\n", "no URL for it"},
		{"apiVersion: v1\nentries:\n  app:\n  - {version: 1.0.0, urls: ['http://helm.example/app.tgz']}\n", "nobody vouches"},
		{"apiVersion: v1\nentries:\n  app:\n  - {version: 1.0.0, urls: ['file:///etc/passwd']}\n", "no https:// URL"},
		{"apiVersion: v1\nentries:\n  app:\n  - {version: 1.0.0, urls: ['https://me:CANARY@helm.example/app.tgz']}\n", "with credentials"},
		{"entries: {}\n", "no apiVersion"},
		{"<html>", "not the index"},
		{"apiVersion: v1\nentries: [1]\n", "not the index"},
		// Of two that differ in build metadata only, the later one.
		{"apiVersion: v1\nentries:\n  app:\n  - {version: 1.0.0+a, created: 2026-01-01T00:00:00Z, urls: [gone]}\n  - {version: 1.0.0+b, created: 2026-01-02T00:00:00.5Z, urls: [deep/app.tgz]}\n", ""},
	} {
		server.File("/charts/index.yaml", []byte(test.index))
		s := newStore(t, server, nil)
		if test.want == "" {
			if p := get(t, s, Reference{Repository: helmURL + "/", Name: "app", Version: "1.x.x"}); p.Digest != good {
				t.Errorf("%s: %s", test.index, p.Digest)
			}
			continue
		}
		if err := fails(t, s, Reference{Repository: helmURL, Name: "app"}, test.want); strings.Contains(err.Error(), "CANARY") {
			t.Error(err)
		}
	}
}

func TestRegistry(t *testing.T) {
	server := charttest.Start(t)
	charts := map[string]string{}
	for _, version := range []string{"1.0.0", "1.2.0+build.5", "2.0.0"} {
		charts[version] = server.Push("charts/app", strings.ReplaceAll(version, "+", "_"), charttest.ChartLayer, charttest.Chart("app", version))
	}
	server.Push("charts/app", "latest", charttest.ChartLayer, charttest.Chart("app", "9.9.9"))
	artefacts := map[string]string{}
	for _, tag := range []string{"latest", "v1.0.0", "v2.0.0", "v2.1.0-edge"} {
		artefacts[tag] = server.Push("flux/manifests", tag, charttest.FluxLayer, charttest.Archive(map[string]string{"a/b.yaml": tag, "c.yaml": ""}))
	}
	chart := Reference{Repository: registryURL + "/charts", Name: "app"}
	artefact := Reference{Repository: registryURL + "/flux/manifests"}
	with := func(r Reference, change func(*Reference)) Reference { change(&r); return r }
	for _, test := range []struct {
		reference       Reference
		version, digest string
	}{
		{chart, "2.0.0", charts["2.0.0"]},
		{with(chart, func(r *Reference) { r.Version = "1.x" }), "1.2.0+build.5", charts["1.2.0+build.5"]},
		{with(chart, func(r *Reference) { r.Version = "1.2.0+build.5" }), "1.2.0+build.5", charts["1.2.0+build.5"]},
		{with(chart, func(r *Reference) { r.Version = "1.0.0" }), "1.0.0", charts["1.0.0"]},
		{artefact, "latest", artefacts["latest"]},
		{with(artefact, func(r *Reference) { r.Version = "v1.0.0" }), "v1.0.0", artefacts["v1.0.0"]},
		{with(artefact, func(r *Reference) { r.SemVer = "*" }), "v2.0.0", artefacts["v2.0.0"]},
		{with(artefact, func(r *Reference) { r.SemVer = ">=1.0.0-0"; r.SemVerFilter = "edge$" }), "v2.1.0-edge", artefacts["v2.1.0-edge"]},
		{with(artefact, func(r *Reference) { r.SemVer = "1.x" }), "v1.0.0", artefacts["v1.0.0"]},
		{with(artefact, func(r *Reference) { r.Digest = artefacts["v1.0.0"]; r.Version = "v2.0.0" }), "", artefacts["v1.0.0"]},
		{with(artefact, func(r *Reference) { r.MediaType = charttest.FluxLayer }), "latest", artefacts["latest"]},
		{Reference{Repository: registryURL + "/charts/app", SemVer: "1.x", MediaType: charttest.ChartLayer}, "1.2.0_build.5", charts["1.2.0+build.5"]},
	} {
		s := newStore(t, server, nil)
		p := get(t, s, test.reference)
		if p.Version != test.version || p.Digest != test.digest {
			t.Errorf("%s: %s %s, want %s %s", test.reference, p.Version, p.Digest, test.version, test.digest)
		}
		if p.Name == "" && test.reference.MediaType == "" && (len(p.Files) != 2 || p.Files[0].Name != "a/b.yaml") {
			t.Errorf("%s: %+v", test.reference, p.Files)
		}
	}
	s := newStore(t, server, nil)
	fails(t, s, with(artefact, func(r *Reference) { r.Version = "gone" }), "it is not there")
	fails(t, s, with(artefact, func(r *Reference) { r.SemVer = "3.x" }), "no version among its 4 tags is in 3.x; the newest is v2.0.0")
	fails(t, s, with(artefact, func(r *Reference) { r.SemVer = "*"; r.SemVerFilter = "(" }), "no regular expression")
	fails(t, s, with(artefact, func(r *Reference) { r.MediaType = "text/plain" }), "none of its 1 layers is text/plain")
	fails(t, s, with(artefact, func(r *Reference) { r.Version = "a b" }), "neither a tag nor a digest")
	fails(t, s, with(chart, func(r *Reference) { r.Version = "7.0.0" }), "it is not there")
	fails(t, s, with(artefact, func(r *Reference) { r.Digest = "sha256:" + strings.Repeat("0", 64) }), "it is not there")
	fails(t, s, Reference{Repository: registryURL + "/nobody/here", SemVer: "*"}, "")
	fails(t, s, Reference{Repository: registryURL + "/UPPER/case"}, "no repository of a registry")
}

func TestReferencesRefused(t *testing.T) {
	server := charttest.Start(t)
	s := newStore(t, server, nil)
	for _, test := range []struct {
		reference Reference
		want      string
	}{
		{Reference{Repository: "git://helm.example", Name: "app"}, "begins with https:// or oci://"},
		{Reference{Repository: "helm.example", Name: "app"}, "begins with https:// or oci://"},
		{Reference{Repository: "https://", Name: "app"}, "begins with https:// or oci://"},
		{Reference{Repository: "https://%zz", Name: "app"}, "begins with https:// or oci://"},
		{Reference{Repository: "https://me:CANARY@helm.example", Name: "app"}, "holds credentials"},
		{Reference{Repository: helmURL}, "no URL of an OCI artefact"},
		{Reference{Repository: registryURL + "/a", Digest: "sha256:12"}, "is no digest"},
		{Reference{Repository: registryURL + "/a", Digest: "sha512:" + strings.Repeat("0", 128)}, "is no digest"},
	} {
		if err := fails(t, s, test.reference, test.want); strings.Contains(err.Error(), "CANARY") {
			t.Error("the error shows a password")
		}
	}
	if len(server.Requests()) > 0 {
		t.Error("asked for", server.Requests())
	}
}

// TestWarm makes sure that what is locked and cached needs no network at all.
func TestWarm(t *testing.T) {
	server := charttest.Start(t)
	server.Chart("app", "1.0.0", charttest.Chart("app", "1.0.0"))
	server.Push("flux/manifests", "v1.0.0", charttest.FluxLayer, charttest.Archive(map[string]string{"a.yaml": "x"}))
	references := []Reference{
		{Repository: helmURL, Name: "app", Version: ">=1.0.0"},
		{Repository: helmURL, Name: "app", Version: "1.0.0"},
		{Repository: registryURL + "/flux/manifests", SemVer: ">=1.0.0"},
		{Repository: registryURL + "/flux/manifests", Version: "v1.0.0"},
	}
	cold := newStore(t, server, nil)
	var lock *Lock
	for _, r := range references {
		get(t, cold, r)
		get(t, cold, r)
	}
	lock = NewLock(cold.Used())
	before := len(server.Requests())
	for _, damage := range []string{"", "unpacked", "all of unpacked"} {
		switch damage {
		case "unpacked":
			damageFiles(t, filepath.Join(cold.config.Cache, "unpacked"))
		case "all of unpacked":
			if err := os.RemoveAll(filepath.Join(cold.config.Cache, "unpacked")); err != nil {
				t.Fatal(err)
			}
		}
		for _, isOffline := range []bool{true, false} {
			warm := newStore(t, server, func(c *Config) { c.Cache = cold.config.Cache; c.Lock = lock; c.Offline = isOffline })
			for _, r := range references {
				got, want := get(t, warm, r), get(t, cold, r)
				if got.Digest != want.Digest || got.Version != want.Version || string(got.Files[0].Data) != string(want.Files[0].Data) {
					t.Errorf("%s %s: %+v", damage, r, got)
				}
			}
		}
	}
	// Without the lock, only exact versions are known.
	unlocked := newStore(t, server, func(c *Config) { c.Cache = cold.config.Cache; c.Offline = true })
	fails(t, unlocked, references[0], "run archipel lock")
	get(t, unlocked, references[1])
	fails(t, unlocked, references[2], "run archipel lock")
	get(t, unlocked, references[3])
	if after := len(server.Requests()); after != before {
		t.Errorf("warm stores sent %d requests", after-before)
	}
	// What is damaged is fetched again.
	damageFiles(t, filepath.Join(cold.config.Cache, "unpacked"))
	damageFiles(t, filepath.Join(cold.config.Cache, "sha256"))
	again := newStore(t, server, func(c *Config) { c.Cache = cold.config.Cache; c.Lock = lock })
	for _, r := range references {
		get(t, again, r)
	}
	if len(server.Requests()) == before {
		t.Error("damaged files were taken from the cache")
	}
}

func damageFiles(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, entry := range entries {
		name := filepath.Join(dir, entry.Name())
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOffline(t *testing.T) {
	server := charttest.Start(t)
	s := newStore(t, server, offline)
	for _, r := range []Reference{
		{Repository: helmURL, Name: "app", Version: "1.0.0"}, {Repository: helmURL, Name: "app"},
		{Repository: registryURL + "/a", Version: "v1"}, {Repository: registryURL + "/a", Digest: "sha256:" + strings.Repeat("0", 64)},
	} {
		err := fails(t, s, r, "cannot be fetched")
		if _, ok := errors.AsType[*UnavailableError](err); !ok {
			t.Errorf("%s: %T", r, err)
		}
	}
	if len(server.Requests()) > 0 {
		t.Error("asked for", server.Requests())
	}
}

func TestLockedDigest(t *testing.T) {
	server := charttest.Start(t)
	good := server.Chart("app", "1.0.0", charttest.Chart("app", "1.0.0"))
	tag := server.Push("flux/manifests", "v1.0.0", charttest.FluxLayer, charttest.Archive(map[string]string{"a.yaml": "x"}))
	chart, artefact := Reference{Repository: helmURL, Name: "app", Version: "1.0.0"}, Reference{Repository: registryURL + "/flux/manifests", Version: "v1.0.0"}
	before := newStore(t, server, nil)
	get(t, before, chart)
	get(t, before, artefact)
	lock := NewLock(before.Used())

	// The same version, published anew.
	server.File("/charts/index.yaml", []byte("apiVersion: v1\nentries:\n  app:\n  - {version: 1.0.0, urls: [new.tgz]}\n"))
	server.File("/charts/new.tgz", charttest.Chart("app", "1.0.0-other"))
	moved := server.Push("flux/manifests", "v1.0.0", charttest.FluxLayer, charttest.Archive(map[string]string{"a.yaml": "y"}))
	s := newStore(t, server, func(c *Config) { c.Lock = lock })
	for r, digests := range map[Reference][2]string{chart: {good, ""}, artefact: {tag, moved}} {
		err := fails(t, s, r, digests[0])
		e, ok := errors.AsType[*DigestError](err)
		if !ok || e.By != LockFile || e.Want != digests[0] || digests[1] != "" && e.Got != digests[1] {
			t.Errorf("%s: %v", r, err)
		}
	}
}

// TestPlaces goes through mirrors that fail in several ways, up to the host itself.
func TestPlaces(t *testing.T) {
	server, dead := charttest.Start(t), charttest.Start(t)
	dead.Close()
	archive := charttest.Chart("app", "1.0.0")
	server.Chart("app", "1.0.0", archive)
	digest := server.Push("cache/flux/manifests", "v1.0.0", charttest.FluxLayer, charttest.Archive(map[string]string{"a.yaml": "x"}))
	chart, artefact := Reference{Repository: helmURL, Name: "app"}, Reference{Repository: registryURL + "/flux/manifests", Version: "v1.0.0"}
	mirrors := func(m map[string][]string) func(*Config) { return func(c *Config) { c.Mirrors = m } }

	for _, list := range [][]string{
		{server.URL + "/charts"}, {dead.URL, server.URL + "/charts"}, {server.URL + "/empty", server.URL + "/charts/"},
	} {
		get(t, newStore(t, server, mirrors(map[string][]string{"helm.example": list})), chart)
	}
	for _, list := range [][]string{{server.URL + "/v2/cache"}, {dead.URL, server.URL + "/v2/cache/"}, {server.URL, server.URL + "/v2/cache"}} {
		if p := get(t, newStore(t, server, mirrors(map[string][]string{"registry.example": list})), artefact); p.Digest != digest {
			t.Error(p.Digest)
		}
	}
	// Without a mirror, or when none has it, the host itself.
	own := Reference{Repository: server.URL + "/charts", Name: "app"}
	get(t, newStore(t, server, mirrors(nil)), own)
	get(t, newStore(t, server, mirrors(map[string][]string{server.Host(): {dead.URL, server.URL + "/empty"}})), own)
	get(t, newStore(t, server, mirrors(nil)), Reference{Repository: "oci://" + server.Host() + "/cache/flux/manifests", Version: "v1.0.0"})
	// "*" is for hosts that are not listed.
	fails(t, newStore(t, server, mirrors(map[string][]string{"*": {server.URL + "/charts"}, "helm.example": {dead.URL}})), chart, "helm.example")

	err := fails(t, newStore(t, server, mirrors(map[string][]string{"helm.example": {dead.URL, server.URL + "/empty"}})), chart, "it is not there")
	if e, ok := errors.AsType[*UnavailableError](err); !ok || !strings.Contains(e.Reason, "connection refused") {
		t.Errorf("%T: %v", err, err)
	}
	err = fails(t, newStore(t, server, mirrors(map[string][]string{"registry.example": {server.URL + "/other"}})), artefact, "does not begin with /v2")
	if _, ok := errors.AsType[*UnavailableError](err); ok {
		t.Error(err)
	}
	// A certificate that nobody vouches for is no place to fetch from.
	err = fails(t, newStore(t, server, func(c *Config) { c.Client, c.Mirrors = nil, nil }), own, "certificate")
	if _, ok := errors.AsType[*UnavailableError](err); !ok {
		t.Errorf("%T: %v", err, err)
	}
}

// TestFailures answers once in a way that passes, and then for ever.
func TestFailures(t *testing.T) {
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Write(make([]byte, 10))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"HTTP 503 Service Unavailable": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"HTTP 429 Too Many Requests":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"EOF":                          func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"the answer breaks off":        cut,
	} {
		for _, r := range []Reference{{Repository: helmURL, Name: "app"}, {Repository: registryURL + "/app"}} {
			for _, times := range []int{1, 1000} {
				server := charttest.Start(t)
				server.Chart("app", "1.0.0", charttest.Chart("app", "1.0.0"))
				server.Push("app", "latest", charttest.FluxLayer, charttest.Archive(map[string]string{"a.yaml": "x"}))
				var mu sync.Mutex
				left := times
				server.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
					mu.Lock()
					defer mu.Unlock()
					if !strings.HasSuffix(r.URL.Path, ".tgz") && !strings.Contains(r.URL.Path, "/blobs/") || left == 0 {
						return false
					}
					left--
					answer(w, r)
					return true
				}
				s := newStore(t, server, nil)
				if times == 1 {
					get(t, s, r)
					continue
				}
				err := fails(t, s, r, name)
				if _, ok := errors.AsType[*UnavailableError](err); !ok {
					t.Errorf("%s: %T", name, err)
				}
			}
		}
	}
}

func TestCredentials(t *testing.T) {
	server := charttest.Start(t)
	server.User, server.Password = "me", "CANARY"
	server.Chart("app", "1.0.0", charttest.Chart("app", "1.0.0"))
	server.Push("app", "latest", charttest.FluxLayer, charttest.Archive(map[string]string{"a.yaml": "x"}))
	references := []Reference{{Repository: helmURL, Name: "app"}, {Repository: registryURL + "/app"}}
	config := func(text string) func(*Config) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return func(c *Config) { c.Docker = dir }
	}
	auths := func(host, password string) string {
		return fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte("me:"+password)))
	}
	for _, r := range references {
		get(t, newStore(t, server, config(auths(server.Host(), "CANARY"))), r)
		for docker, want := range map[string]string{
			auths(server.Host(), "CANARY-wrong"):                     "HTTP 401 Unauthorized (credentials come from the auths",
			auths("other.example", "CANARY"):                         "HTTP 401 Unauthorized (credentials come from the auths",
			`{"credsStore": "secretservice"}`:                        "leaves its credentials to a helper",
			fmt.Sprintf(`{"credHelpers": {%q: "x"}}`, server.Host()): "leaves its credentials to a helper",
			`{`: "reading credentials of registries",
		} {
			if err := fails(t, newStore(t, server, config(docker)), r, want); strings.Contains(err.Error(), "CANARY") {
				t.Error("the error shows a password")
			}
		}
		fails(t, newStore(t, server, nil), r, "HTTP 401")
		fails(t, newStore(t, server, func(c *Config) { c.Docker = t.TempDir() }), r, "HTTP 401")
	}
}

// TestPlainText makes sure that nothing leads from TLS to plain text, and that
// no password goes there.
func TestPlainText(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials in plain text")
		}
		if strings.HasPrefix(r.URL.Path, "/v2/") {
			w.Header().Set("WWW-Authenticate", "Basic realm=x")
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer plain.Close()
	server := charttest.Start(t)
	server.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, plain.URL, http.StatusFound)
		return true
	}
	dir := t.TempDir()
	host := strings.TrimPrefix(plain.URL, "http://")
	if err := os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil, `{"auths": {%q: {"auth": "bWU6eA=="}}}`, host), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, server, func(c *Config) {
		c.Docker = dir
		c.Mirrors["*"] = nil
		c.Mirrors["registry.example"] = []string{server.URL}
	})
	fails(t, s, Reference{Repository: helmURL, Name: "app"}, "it redirects from https:// to plain text")
	fails(t, s, Reference{Repository: registryURL + "/app"}, "it redirects from https:// to plain text")
	fails(t, s, Reference{Repository: plain.URL, Name: "app"}, "HTTP 401")
	fails(t, s, Reference{Repository: "oci://" + host + "/app", Insecure: true}, "HTTP 401")
}

func TestSizes(t *testing.T) {
	server := charttest.Start(t)
	server.File("/charts/index.yaml", make([]byte, maxIndex+1))
	fails(t, newStore(t, server, nil), Reference{Repository: helmURL, Name: "app"}, "more than 50 MiB")
	server.File("/charts/index.yaml", []byte("apiVersion: v1\nentries: {app: [{version: 1.0.0, urls: [app.tgz]}]}\n"))
	server.File("/charts/app.tgz", make([]byte, maxChart+1))
	fails(t, newStore(t, server, nil), Reference{Repository: helmURL, Name: "app"}, "more than 10 MiB")
	server.Push("app", "latest", charttest.ChartLayer, make([]byte, maxChart+1))
	server.Push("app", "1.0.0", charttest.ChartLayer, make([]byte, maxChart+1))
	fails(t, newStore(t, server, nil), Reference{Repository: registryURL, Name: "app"}, "more than 10 MiB")
	fails(t, newStore(t, server, nil), Reference{Repository: registryURL + "/app"}, "not gzip")
}

// TestLayerDigest serves another layer than the manifest says.
func TestLayerDigest(t *testing.T) {
	server := charttest.Start(t)
	archive := charttest.Archive(map[string]string{"a.yaml": "x"})
	server.Push("app", "latest", charttest.FluxLayer, archive)
	other := slices.Clone(archive)
	other[len(other)-1] ^= 1
	server.File("/v2/app/blobs/"+digestOf(archive), other)
	s := newStore(t, server, nil)
	err := fails(t, s, Reference{Repository: registryURL + "/app"}, "its manifest says "+digestOf(archive))
	if _, ok := errors.AsType[*DigestError](err); !ok {
		t.Errorf("%T", err)
	}
	if entries, _ := os.ReadDir(filepath.Join(s.config.Cache, "sha256")); len(entries) > 0 {
		t.Error("the cache keeps what is not what was promised")
	}
}

func TestOnce(t *testing.T) {
	server := charttest.Start(t)
	server.Chart("app", "1.0.0", charttest.Chart("app", "1.0.0"))
	server.Chart("app", "2.0.0", charttest.Chart("app", "2.0.0"))
	s := newStore(t, server, nil)
	var wait sync.WaitGroup
	for range 20 {
		for _, version := range []string{"1.0.0", "2.0.0"} {
			wait.Go(func() {
				if _, err := s.Get(t.Context(), Reference{Repository: helmURL, Name: "app", Version: version}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wait.Wait()
	if n := len(server.Requests()); n != 3 {
		t.Errorf("%d requests: %v", n, server.Requests())
	}
}

// TestCancelled makes sure that one who is cancelled takes nobody along.
func TestCancelled(t *testing.T) {
	server := charttest.Start(t)
	server.Chart("app", "1.0.0", charttest.Chart("app", "1.0.0"))
	started := make(chan struct{}, 10)
	release := make(chan struct{})
	server.Intercept = func(http.ResponseWriter, *http.Request) bool {
		started <- struct{}{}
		<-release
		return false
	}
	s := newStore(t, server, nil)
	first, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := s.Get(first, Reference{Repository: helmURL, Name: "app"}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	<-started
	wait.Go(func() {
		if _, err := s.Get(t.Context(), Reference{Repository: helmURL, Name: "app"}); err != nil {
			t.Error(err)
		}
	})
	cancel()
	<-started // the second asks itself
	close(release)
	wait.Wait()
}

// TestProcesses lets processes share one cache that is empty at first.
func TestProcesses(t *testing.T) {
	if at := os.Getenv("CHART_TEST_SERVER"); at != "" {
		s := New(Config{Cache: os.Getenv("CHART_TEST_CACHE")})
		get(t, s, Reference{Repository: at + "/charts", Name: "app"})
		return
	}
	server := charttest.Start(t)
	server.Chart("app", "1.0.0", charttest.Chart("app", "1.0.0"))
	certificates := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(certificates, server.Certificates(), 0o600); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcesses$")
			child.Env = append(os.Environ(), "CHART_TEST_SERVER="+server.URL, "CHART_TEST_CACHE="+cache, "SSL_CERT_FILE="+certificates)
			if out, err := child.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wait.Wait()
	for _, kind := range []string{"sha256", "unpacked"} {
		entries, err := os.ReadDir(filepath.Join(cache, kind))
		if err != nil || len(entries) != 1 {
			t.Errorf("%s: %v %v", kind, entries, err)
		}
	}
}

// TestCacheUnwritable makes sure that the cache is a help and no condition.
func TestCacheUnwritable(t *testing.T) {
	server := charttest.Start(t)
	server.Chart("app", "1.0.0", charttest.Chart("app", "1.0.0"))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var said []string
	s := newStore(t, server, func(c *Config) {
		c.Cache = filepath.Join(file, "cache")
		c.Progress = func(text string) { said = append(said, text) }
	})
	get(t, s, Reference{Repository: helmURL, Name: "app"})
	if len(said) == 0 || said[0] != "fetching app * of "+helmURL || !strings.HasPrefix(said[len(said)-1], "caching charts: ") {
		t.Error(said)
	}
}
