package chart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Media types of the layer that holds a chart: Helm's, and its older one.
const (
	chartLayer    = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	oldChartLayer = "application/tar+gzip"
)

const (
	maxManifest = 4 << 20 // bytes, as registries have it
	maxTags     = 100_000
)

// registryMirror returns where a mirror has a repository of another registry.
// A path of the mirror begins with /v2, as in k3s's registries.yaml.
func registryMirror(mirror, repository *url.URL) (*url.URL, error) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(mirror.Path, "/")+"/", "/v2/")
	if !ok && rest != "/" {
		return nil, fmt.Errorf("the mirror %s of the registry %s has a path that does not begin with /v2", mirror, repository.Host)
	}
	return (&url.URL{Scheme: tlsRegistry, Host: mirror.Host}).JoinPath(rest, repository.Path), nil
}

// The schemes of the URLs of registries, the second for plain HTTP.
const (
	tlsRegistry   = "oci"
	plainRegistry = "oci+http"
)

func isRegistry(u *url.URL) bool { return u.Scheme == tlsRegistry || u.Scheme == plainRegistry }

// repository returns a client of a repository of a registry.
func (s *Store) repository(place *url.URL) (*remote.Repository, error) {
	r := &remote.Repository{
		Reference: registry.Reference{Registry: place.Host, Repository: strings.Trim(place.Path, "/")},
		Client:    s.auth, MaxMetadataBytes: maxManifest,
	}
	if place.Scheme == plainRegistry {
		r.PlainHTTP = true
		r.Client = &auth.Client{Client: s.client} // no credentials in plain text
	}
	if err := r.Reference.Validate(); err != nil {
		return nil, fmt.Errorf("%s%s is no repository of a registry", place.Host, place.Path)
	}
	return r, nil
}

// tags returns all tags of a repository.
func (s *Store) tags(ctx context.Context, u *url.URL) ([]string, error) {
	return tryEach(ctx, s, u, func(ctx context.Context, place *url.URL) ([]string, error) {
		repository, err := s.repository(place)
		if err != nil {
			return nil, err
		}
		var all []string
		err = repository.Tags(ctx, "", func(tags []string) error {
			if all = append(all, tags...); len(all) > maxTags {
				return fmt.Errorf("it has more than %d tags", maxTags)
			}
			return nil
		})
		return all, placed(err)
	})
}

// manifest returns the manifest that a tag or a digest names, as it is.
func (s *Store) manifest(ctx context.Context, u *url.URL, reference string) ([]byte, error) {
	return tryEach(ctx, s, u, func(ctx context.Context, place *url.URL) ([]byte, error) {
		repository, err := s.repository(place)
		if err != nil {
			return nil, err
		}
		_, body, err := repository.Manifests().FetchReference(ctx, reference)
		if errors.Is(err, errdef.ErrInvalidReference) {
			return nil, fmt.Errorf("%q is neither a tag nor a digest", reference)
		}
		if err != nil {
			return nil, placed(err)
		}
		defer body.Close()
		return readAll(body, maxManifest)
	})
}

// layer returns what a descriptor names, not yet verified.
func (s *Store) layer(ctx context.Context, u *url.URL, layer ocispec.Descriptor) ([]byte, error) {
	return tryEach(ctx, s, u, func(ctx context.Context, place *url.URL) ([]byte, error) {
		repository, err := s.repository(place)
		if err != nil {
			return nil, err
		}
		body, err := repository.Blobs().Fetch(ctx, layer)
		if err != nil {
			return nil, placed(err)
		}
		defer body.Close()
		data, err := readAll(body, int(layer.Size))
		if err == nil && len(data) < int(layer.Size) {
			return nil, &brokenError{io.ErrUnexpectedEOF}
		}
		return data, err
	})
}

// placed turns errors that say something about the place into those of fetch.go.
func placed(err error) error {
	switch {
	case errors.Is(err, errdef.ErrNotFound) || statusOf(err) == http.StatusNotFound:
		return &missingError{"it is not there"}
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return &statusError{http.StatusUnauthorized}
	}
	return err
}

// pickLayer returns the layer of a manifest that a reference asks for: the
// chart's, or that of the media type, or else the first.
func pickLayer(manifest []byte, r Reference) (ocispec.Descriptor, error) {
	var m struct {
		Layers    []ocispec.Descriptor `json:"layers"`
		Manifests []json.RawMessage    `json:"manifests"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return ocispec.Descriptor{}, errors.New("the registry gave something that is no manifest")
	}
	if len(m.Manifests) > 0 {
		return ocispec.Descriptor{}, errors.New("it is an index of images, not an artefact")
	}
	for _, wanted := range wantedLayers(r) {
		for _, layer := range m.Layers {
			if wanted == "" || layer.MediaType == wanted {
				return layer, checkLayer(layer, limitsOf(r))
			}
		}
	}
	return ocispec.Descriptor{}, &missingError{fmt.Sprintf("none of its %d layers is %s", len(m.Layers), or(wantedLayers(r)[0], "an archive"))}
}

func wantedLayers(r Reference) []string {
	if r.Name != "" {
		return []string{chartLayer, oldChartLayer}
	}
	return []string{r.MediaType}
}

func checkLayer(layer ocispec.Descriptor, bounds limits) error {
	if _, ok := hexOf(layer.Digest.String()); !ok {
		return errors.New("the digest of its layer is not a SHA-256")
	}
	if layer.Size < 0 || layer.Size > int64(bounds.packed) {
		return fmt.Errorf("its archive has more than %d MiB", bounds.packed>>20)
	}
	return nil
}
