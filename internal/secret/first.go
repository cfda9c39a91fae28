package secret

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"sigs.k8s.io/yaml"
)

// FirstSecrets are what Flux cannot bring to a site itself: the cluster has them
// before Flux begins.
type FirstSecrets struct {
	Identities []string          // with which Flux decrypts there, the newest first
	Git        map[string]string // values of Secret flux-system/flux-system; nil when the repository has no such file
}

// ReadFirstSecrets decrypts the first secrets of a site, in memory. The error is
// fs.ErrNotExist when the site has no identity yet, or as of OpenFile.
func ReadFirstSecrets(s *Store, keys *Identities, site string) (*FirstSecrets, error) {
	vars, _, err := OpenFile(s, keys, AnsibleFile(site))
	if err != nil {
		return nil, err
	}
	first := &FirstSecrets{}
	if first.Identities, err = identitiesOf(vars); err != nil {
		return nil, err
	}
	file, _, err := OpenFile(s, keys, FluxFile(site, gitSecret))
	if errors.Is(err, fs.ErrNotExist) {
		return first, nil
	}
	if err != nil {
		return nil, err
	}
	plain, err := file.Plain()
	if err != nil {
		return nil, err
	}
	first.Git, err = secretValues(plain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name, err)
	}
	return first, nil
}

// secretValues returns what a manifest of a Secret holds, as a cluster would.
func secretValues(manifest []byte) (map[string]string, error) {
	var object struct{ Data, StringData map[string]string }
	if err := yaml.Unmarshal(manifest, &object); err != nil {
		return nil, errors.New("it is no manifest of a Secret") // the error may quote a value
	}
	values := map[string]string{}
	for name, value := range object.Data {
		text, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return nil, fmt.Errorf("data/%s is not in base64", name)
		}
		values[name] = string(text)
	}
	for name, value := range object.StringData { // which wins, as in a cluster
		values[name] = value
	}
	return values, nil
}

// FluxFiles lists the encrypted Secrets that Flux applies at a site, sorted.
func (s *Store) FluxFiles(site string) ([]string, error) {
	files, err := fs.Glob(s.root.FS(), path.Dir(FluxFile(site, "x"))+"/*"+sealedYAML)
	if err != nil {
		return nil, fmt.Errorf("listing the Secrets of %s: %w", site, err)
	}
	return files, nil
}
