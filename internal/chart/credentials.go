package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// dockerConfig are the credentials of a docker config.json, read when they are
// first needed. Those of credential helpers are not among them: helpers are
// programs, and a store starts none.
type dockerConfig struct {
	dir  string
	once sync.Once
	get  auth.CredentialFunc
	err  error
}

// credential returns the credentials for a host; empty ones when there are none.
func (d *dockerConfig) credential(ctx context.Context, host string) (auth.Credential, error) {
	if d.dir == "" {
		return auth.EmptyCredential, nil
	}
	d.once.Do(func() {
		store, err := credentials.NewFileStore(d.file())
		if err != nil {
			d.err = fmt.Errorf("reading credentials of registries: %w", err)
			return
		}
		d.get = credentials.Credential(store)
	})
	if d.err != nil {
		return auth.EmptyCredential, d.err
	}
	return d.get(ctx, host)
}

func (d *dockerConfig) file() string { return filepath.Join(d.dir, "config.json") }

// helper reports whether the credentials for a host are left to a program.
func (d *dockerConfig) helper(host string) bool {
	var config struct {
		Store   string            `json:"credsStore"`
		Helpers map[string]string `json:"credHelpers"`
	}
	data, err := os.ReadFile(d.file())
	if d.dir == "" || err != nil || json.Unmarshal(data, &config) != nil {
		return false
	}
	return config.Store != "" || config.Helpers[host] != ""
}

// authorize adds the credentials for the host of a request, if there are any and
// nobody can read them on the way.
func (s *Store) authorize(ctx context.Context, request *http.Request) error {
	if request.URL.Scheme != "https" {
		return nil
	}
	credential, err := s.docker.credential(ctx, request.URL.Host)
	if err == nil && credential.Username != "" {
		request.SetBasicAuth(credential.Username, credential.Password)
	}
	return err
}

// credentialsHint says where a refusal may come from.
func (s *Store) credentialsHint(err error, place *url.URL) string {
	switch code := statusOf(err); {
	case code != http.StatusUnauthorized && code != http.StatusForbidden:
		return ""
	case s.docker.helper(place.Host):
		return " (the docker config leaves its credentials to a helper, and archipel starts none: write them to auths)"
	}
	return " (credentials come from the auths of the docker config)"
}
