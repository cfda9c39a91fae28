package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"archipel/lab/internal/pack"
)

// siteHandlers makes one handler for each served host.
func siteHandlers(config Config, log *slog.Logger) (map[string]http.Handler, error) {
	handlers := map[string]http.Handler{}
	if config.Git != nil {
		handler, err := gitHandler(*config.Git, log)
		if err != nil {
			return nil, err
		}
		for _, host := range config.Git.Hosts {
			handlers[host] = handler
		}
	}
	charts := map[string]*http.ServeMux{}
	for _, chart := range config.Charts {
		dir := filepath.Join(config.Content, "charts", chart.Chart)
		if _, err := os.Stat(filepath.Join(dir, "index.yaml")); err != nil {
			return nil, fmt.Errorf("charts: the content holds no chart %s: %w", chart.Chart, err)
		}
		if charts[chart.Host] == nil {
			charts[chart.Host] = http.NewServeMux()
			handlers[chart.Host] = charts[chart.Host]
		}
		charts[chart.Host].Handle("GET "+chart.Path, http.StripPrefix(strings.TrimSuffix(chart.Path, "/"), chartHandler(dir)))
	}
	for _, host := range config.Registries {
		handler, err := registryHandler(filepath.Join(config.Content, "registries", host))
		if err != nil {
			return nil, fmt.Errorf("registry %s: %w", host, err)
		}
		handlers[host] = handler
	}
	return handlers, nil
}

// chartHandler serves the index and the archives of a chart repository, and no
// listings.
func chartHandler(dir string) http.Handler {
	files := http.FileServerFS(os.DirFS(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Base(r.URL.Path) != "index.yaml" && path.Ext(r.URL.Path) != ".tgz" {
			http.NotFound(w, r)
			return
		}
		files.ServeHTTP(w, r)
	})
}

// registryHandler serves the artefacts of an image layout as an OCI registry that
// nobody can push to.
func registryHandler(dir string) (http.Handler, error) {
	artifacts, err := layout.FromPath(dir)
	if err != nil {
		return nil, err
	}
	index, err := artifacts.ImageIndex()
	if err != nil {
		return nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	// The layout and the registry keep blobs in the same way: <algorithm>/<hex>.
	handler := registry.New(
		registry.WithBlobHandler(registry.NewDiskBlobHandler(filepath.Join(dir, "blobs"))),
		registry.Logger(log.New(io.Discard, "", 0)),
	)
	for _, descriptor := range list.Manifests {
		if err := tag(handler, artifacts, descriptor); err != nil {
			return nil, err
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this registry is read only", http.StatusMethodNotAllowed)
			return
		}
		handler.ServeHTTP(w, r)
	}), nil
}

// tag gives the registry the manifest under its name; its blobs are in place.
func tag(handler http.Handler, artifacts layout.Path, descriptor v1.Descriptor) error {
	name := descriptor.Annotations[pack.ReferenceAnnotation]
	repository, tag, ok := strings.Cut(name, ":")
	if !ok {
		return fmt.Errorf("artefact %s has no name and tag", descriptor.Digest)
	}
	manifest, err := artifacts.Bytes(descriptor.Digest)
	if err != nil {
		return err
	}
	if !json.Valid(manifest) {
		return fmt.Errorf("the manifest of %s is damaged: pack again", name)
	}
	request, err := http.NewRequest(http.MethodPut, "/v2/"+repository+"/manifests/"+tag, bytes.NewReader(manifest))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", string(descriptor.MediaType))
	answer := &discarded{header: http.Header{}}
	handler.ServeHTTP(answer, request)
	if answer.status != http.StatusCreated {
		return fmt.Errorf("tagging %s: status %d", name, answer.status)
	}
	return nil
}

// discarded keeps the status of an answer that nobody reads.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) WriteHeader(status int)      { d.status = status }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
