package lab

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"archipel/internal/fleet"
	"archipel/internal/secret"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// clusters is where Flux's entry of each site lies in the repository.
const clusters = "kubernetes/flux/clusters"

// gitUser is the user name that Flux presents to the lab's Git server.
const gitUser = "flux"

func (l *Lab) secretsDir() string { return filepath.Join(l.dir, "secrets") }

func (l *Lab) identityFile() string       { return filepath.Join(l.secretsDir(), "age.agekey") }
func (l *Lab) gitCredentialsFile() string { return filepath.Join(l.secretsDir(), "git-credentials") }

// identity returns the lab's age identity, which opens all its encrypted files.
func (l *Lab) identity() (string, error) {
	data, err := os.ReadFile(l.identityFile())
	if err != nil {
		return "", fmt.Errorf("reading the lab's age identity: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// makeSecrets makes what the lab's sites keep secret, each once: the age
// identity, the credentials of the Git server, and per site the encrypted
// Secrets that production keeps in Git.
func (l *Lab) makeSecrets(f *fleet.Fleet) error {
	if err := os.MkdirAll(l.secretsDir(), 0o700); err != nil {
		return fmt.Errorf("making the lab's secrets: %w", err)
	}
	recipient, err := l.makeIdentity()
	if err != nil {
		return err
	}
	git, err := l.gitSecret()
	if err != nil {
		return err
	}
	missing := func(site, name string) bool {
		_, err := os.Stat(l.encryptedFile(site, name))
		return errors.Is(err, os.ErrNotExist)
	}
	for _, site := range f.Sites {
		if missing(site.Name, "flux-system") {
			if err := l.encrypt(site.Name, "flux-system", git, recipient); err != nil {
				return err
			}
		}
	}
	// One CA for all sites: a new site of an old lab gets the file of the others,
	// and when none has one yet all get a new one.
	var mesh []byte
	for _, site := range f.Sites {
		if data, err := os.ReadFile(l.encryptedFile(site.Name, "cilium-ca")); err == nil {
			mesh = data
			break
		}
	}
	if mesh == nil {
		manifest, err := secret.MeshAuthorityManifest(l.config.Now())
		if err != nil {
			return err
		}
		if mesh, err = secret.EncryptManifest(manifest, recipient); err != nil {
			return err
		}
	}
	for _, site := range f.Sites {
		if missing(site.Name, "cilium-ca") {
			if err := l.writeEncrypted(site.Name, "cilium-ca", mesh); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Lab) makeIdentity() (recipient string, err error) {
	if identity, err := l.identity(); err == nil {
		return secret.RecipientOf(identity)
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	identity, recipient, err := secret.NewIdentity()
	if err != nil {
		return "", err
	}
	return recipient, writeFile(l.identityFile(), []byte(identity+"\n"))
}

// gitSecret returns the Secret that the GitRepository of every site refers to.
func (l *Lab) gitSecret() ([]byte, error) {
	data, err := os.ReadFile(l.gitCredentialsFile())
	if errors.Is(err, os.ErrNotExist) {
		data = []byte(gitUser + ":" + secret.NewToken() + "\n")
		err = writeFile(l.gitCredentialsFile(), data)
	}
	if err != nil {
		return nil, fmt.Errorf("making the credentials of the Git server: %w", err)
	}
	user, password, _ := strings.Cut(strings.TrimSpace(string(data)), ":")
	return secret.GitPasswordManifest(user, password)
}

// secretObject writes values as the cluster keeps them: an entry of data that is
// no longer applied goes away, one of stringData would stay.
func secretObject(namespace, name string, values map[string]string) *unstructured.Unstructured {
	object := secret.SecretObject(namespace, name, nil)
	delete(object, "stringData")
	data := map[string]any{}
	for key, value := range values {
		data[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	object["data"] = data
	return &unstructured.Unstructured{Object: object}
}

func (l *Lab) encrypt(site, name string, manifest []byte, recipient string) error {
	encrypted, err := secret.EncryptManifest(manifest, recipient)
	if err != nil {
		return fmt.Errorf("encrypting Secret %s of %s: %w", name, site, err)
	}
	return l.writeEncrypted(site, name, encrypted)
}

func (l *Lab) encryptedFile(site, name string) string {
	return filepath.Join(l.secretsDir(), site, name+".sops.yaml")
}

func (l *Lab) writeEncrypted(site, name string, data []byte) error {
	file := l.encryptedFile(site, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("writing Secret %s of %s: %w", name, site, err)
	}
	return writeFile(file, data)
}

// secretFiles returns the encrypted files by their path in the repository.
func (l *Lab) secretFiles(f *fleet.Fleet) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, site := range f.Sites {
		for _, name := range []string{"cilium-ca", "flux-system"} {
			data, err := os.ReadFile(l.encryptedFile(site.Name, name))
			if err != nil {
				return nil, fmt.Errorf("reading the lab's secrets: %w", err)
			}
			files[path.Join(clusters, site.Name, "secrets", name+".sops.yaml")] = data
		}
	}
	return files, nil
}
