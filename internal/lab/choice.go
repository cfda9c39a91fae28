package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"archipel/internal/fleet"
	"archipel/internal/secret"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Secrets are those that the sites of a lab run with: the repository's, or the
// lab's own. All sites take theirs from the same place, because they share the
// mesh CA and the Git server.
type Secrets struct {
	// Notice says in a line what the user may not expect; "" when there is nothing.
	Notice string

	sites       map[string]*secret.FirstSecrets // nil: the lab's own
	credentials string                          // user:password of the Git server; "" when the repository has none
}

func (s *Secrets) own() bool { return s.sites == nil }

// ChooseSecrets takes the repository's secrets when it has some and the
// identities open what every site needs to begin with, and the lab's own
// otherwise. What is decrypted stays in memory, the credentials of the Git
// server aside, which Up writes for that server alone.
func (l *Lab) ChooseSecrets(f *fleet.Fleet, identities func() (*secret.Identities, error)) *Secrets {
	store, err := secret.OpenStore(l.config.Repository)
	if err != nil {
		return &Secrets{Notice: ownNotice(err)}
	}
	defer store.Close()
	some := false
	for _, site := range f.Sites {
		files, err := store.FluxFiles(site.Name)
		if err != nil {
			return &Secrets{Notice: ownNotice(err)}
		}
		some = some || len(files) > 0
	}
	if !some {
		return &Secrets{}
	}
	keys, err := identities()
	if err != nil {
		return &Secrets{Notice: ownNotice(err)}
	}
	chosen := &Secrets{sites: map[string]*secret.FirstSecrets{}}
	without := ""
	for _, site := range f.Sites {
		first, err := secret.ReadFirstSecrets(store, keys, site.Name)
		if err == nil && first.Git == nil {
			without = secret.GitFile(site.Name)
		} else if err == nil {
			err = chosen.addCredentials(site.Name, first.Git)
		}
		if err != nil {
			return &Secrets{Notice: ownNotice(err)}
		}
		chosen.sites[site.Name] = first
	}
	if without != "" {
		chosen.Notice = "the lab makes a Git password of its own: there is no " + without + " (archipel secret init --git-user makes it)"
	}
	return chosen
}

func ownNotice(err error) string {
	hint := "archipel secret doctor explains"
	if errors.Is(err, fs.ErrNotExist) {
		hint = "archipel secret init makes what is missing"
	}
	return fmt.Sprintf("the lab uses secrets of its own, not the repository's: %v (%s)", err, hint)
}

// addCredentials takes up how a site reads Git. The Git server knows one user.
func (s *Secrets) addCredentials(site string, values map[string]string) error {
	user, password := values["username"], values["password"]
	if user == "" || password == "" || strings.ContainsAny(user, ":\r\n") || strings.ContainsAny(password, "\r\n") {
		return fmt.Errorf("%s holds no username and password of one line each", secret.GitFile(site))
	}
	credentials := user + ":" + password
	if s.credentials != "" && s.credentials != credentials {
		return fmt.Errorf("%s names other Git credentials than the sites before, and the lab's Git server knows one user", secret.GitFile(site))
	}
	s.credentials = credentials
	return nil
}

// credentialsFile is what the Git server reads: the lab's own, or those of the
// repository, which are gone when the lab no longer uses them.
func (l *Lab) credentialsFile(s *Secrets) string {
	if s.credentials == "" {
		return l.gitCredentialsFile()
	}
	return filepath.Join(l.secretsDir(), "git-credentials-of-repository")
}

// prepareSecrets makes what the lab has to add to the secrets that were chosen.
func (l *Lab) prepareSecrets(f *fleet.Fleet, s *Secrets) error {
	if s.credentials == "" {
		if err := l.forgetCredentials(); err != nil {
			return err
		}
	}
	if s.own() {
		return l.makeSecrets(f)
	}
	if err := os.MkdirAll(l.secretsDir(), 0o700); err != nil {
		return fmt.Errorf("making the lab's secrets: %w", err)
	}
	if s.credentials == "" {
		_, err := l.gitSecret()
		return err
	}
	file, wanted := l.credentialsFile(s), s.credentials+"\n"
	if data, err := os.ReadFile(file); err == nil && string(data) == wanted {
		return nil
	}
	if err := l.stopGitServer(); err != nil {
		return err
	}
	return writeFile(file, []byte(wanted))
}

// forgetCredentials removes those of the repository.
func (l *Lab) forgetCredentials() error {
	file := l.credentialsFile(&Secrets{credentials: "any"})
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := l.stopGitServer(); err != nil {
		return err
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("removing the credentials that the Git server had: %w", err)
	}
	return nil
}

// stopGitServer ends the server, whose process has no site, before what it read when
// it started changes: a lab that is interrupted in between then starts it anew.
func (l *Lab) stopGitServer() error { return l.stopSites("") }

// firstSecrets are the Secrets that Flux needs at a site to begin with.
func (l *Lab) firstSecrets(site string, s *Secrets) ([]*unstructured.Unstructured, error) {
	credentials, err := os.ReadFile(l.credentialsFile(s))
	if err != nil {
		return nil, fmt.Errorf("reading the credentials of the Git server: %w", err)
	}
	user, password, _ := strings.Cut(strings.TrimSpace(string(credentials)), ":")
	// kustomize-controller takes keys from entries that end in .agekey (flux2#5154).
	identities := map[string]string{}
	if s.own() {
		identity, err := l.identity()
		if err != nil {
			return nil, err
		}
		identities["lab.agekey"] = identity
	} else {
		identities[secret.ClusterEntry] = strings.Join(s.sites[site].Identities, "\n") + "\n"
	}
	return []*unstructured.Unstructured{
		secretObject(fluxNamespace, "sops-age", identities),
		secretObject(fluxNamespace, "flux-system", map[string]string{"username": user, "password": password}),
	}, nil
}
