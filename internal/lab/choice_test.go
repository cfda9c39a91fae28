package lab

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"archipel/internal/fleet"
	"archipel/internal/secret"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// initSecrets makes the repository's secrets, and returns what opens them.
func initSecrets(t *testing.T, l *Lab, f *fleet.Fleet, password string) func() (*secret.Identities, error) {
	t.Helper()
	store, err := secret.OpenStore(l.config.Repository)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	identity, _, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := secret.LoadKeyring(func(name string) string {
		return map[string]string{secret.KeyVariable: identity}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	err = secret.Init(store, f, keys, secret.InitOptions{
		Operator: "ann", Now: now(), Say: func(string) {},
		Password: func(string) (string, string, bool, error) { return "reader", password, password != "", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() (*secret.Identities, error) { return keys.Identities, nil }
}

func prepare(t *testing.T, l *Lab, f *fleet.Fleet, s *Secrets) {
	t.Helper()
	if err := l.prepareSecrets(f, s); err != nil {
		t.Fatal(err)
	}
}

// values reads an applied Secret.
func values(t *testing.T, object *unstructured.Unstructured) map[string]string {
	t.Helper()
	found := map[string]string{}
	data, _, err := unstructured.NestedStringMap(object.Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range data {
		text, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		found[key] = string(text)
	}
	return found
}

func TestRepositorySecrets(t *testing.T) {
	l, f := newLab(t), testFleet("site-a", "site-b")
	const password = "of-the-repository"
	keys := initSecrets(t, l, f, password)
	s := l.ChooseSecrets(f, keys)
	if s.own() || s.Notice != "" {
		t.Fatalf("own %t, notice %q", s.own(), s.Notice)
	}
	prepare(t, l, f, s)
	if got := everything(t, l.secretsDir()); len(got) != 1 || got["git-credentials-of-repository"] != "reader:"+password+"\n" {
		t.Errorf("the lab keeps %d files", len(got))
	}
	private(t, l.secretsDir())

	store, err := secret.OpenStore(l.config.Repository)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	opened, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, site := range []string{"site-a", "site-b"} {
		first, err := secret.ReadFirstSecrets(store, opened, site)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := l.firstSecrets(site, s)
		if err != nil {
			t.Fatal(err)
		}
		age, git := values(t, objects[0]), values(t, objects[1])
		if objects[0].GetName() != "sops-age" || len(age) != 1 || age["identity.agekey"] != first.Identities[0]+"\n" || seen[first.Identities[0]] {
			t.Errorf("%s does not get its own identity", site)
		}
		seen[first.Identities[0]] = true
		if objects[1].GetName() != "flux-system" || git["username"] != "reader" || git["password"] != password || len(git) != 2 {
			t.Errorf("%s does not get the credentials", site)
		}
	}

	revisions, err := l.serve(t.Context(), f, true)
	if err != nil {
		t.Fatal(err)
	}
	_, commit, _ := strings.Cut(revisions["site-a"], "sha1:")
	if got, want := served(t, l, commit), worktree(t, checkedIn(t, l)); !slices.Equal(got, want) {
		t.Errorf("served:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if tree, err := l.Served(commit); err != nil {
		t.Error(err)
	} else if data, err := tree.ReadFile(secret.GitFile("site-a")); err != nil || string(data) != read(t, filepath.Join(l.config.Repository, secret.GitFile("site-a"))) {
		t.Errorf("Served differs: %v", err)
	}
	if _, err := l.Served(strings.Repeat("0", 40)); err == nil {
		t.Error("a commit that nobody has is served")
	}
	// What sync serves follows the record, and needs no identity.
	if err := l.writeRecord(record{Sites: []string{"site-a"}, RepositorySecrets: true}); err != nil {
		t.Fatal(err)
	}
	if again := snapshot(t, l, f); again != commit {
		t.Error("sync serves something else than up")
	}

	// The lab's own again: nothing of the repository stays.
	prepare(t, l, f, &Secrets{})
	for name, content := range everything(t, l.secretsDir()) {
		if strings.Contains(content, password) {
			t.Errorf("the repository's password stays in %s", name)
		}
	}
}

// checkedIn makes a Git repository of the lab's tree.
func checkedIn(t *testing.T, l *Lab) string {
	t.Helper()
	git(t, l.config.Repository, "init", "--quiet")
	git(t, l.config.Repository, "add", "--all")
	return l.config.Repository
}

func TestNoCredentialsInTheRepository(t *testing.T) {
	l, f := newLab(t), testFleet("site-a")
	s := l.ChooseSecrets(f, initSecrets(t, l, f, ""))
	if s.own() || !strings.Contains(s.Notice, "flux-system.sops.yaml") || strings.Contains(s.Notice, "\n") {
		t.Fatalf("own %t, notice %q", s.own(), s.Notice)
	}
	prepare(t, l, f, s)
	objects, err := l.firstSecrets("site-a", s)
	if err != nil {
		t.Fatal(err)
	}
	if git := values(t, objects[1]); git["username"] != gitUser || len(git["password"]) != 64 {
		t.Error("Flux gets no password of the lab's")
	}
}

// A changed password reaches the Git server, which reads it when it starts.
func TestChangedCredentials(t *testing.T) {
	l, f := newLab(t), testFleet("site-a")
	keys := initSecrets(t, l, f, "first")
	prepare(t, l, f, l.ChooseSecrets(f, keys))
	etcd, upstream := l.startFake(t, "site-a/etcd"), l.startFake(t, processName("", upstreamComponent))
	prepare(t, l, f, l.ChooseSecrets(f, keys))
	if !upstream.Alive() {
		t.Error("the Git server was stopped for nothing")
	}
	s := l.ChooseSecrets(f, keys)
	s.credentials = "reader:second"
	prepare(t, l, f, s)
	if upstream.Alive() || !etcd.Alive() {
		t.Error("the Git server alone must be stopped")
	}
	if got := read(t, l.credentialsFile(s)); got != "reader:second\n" {
		t.Errorf("got %q", got)
	}
}

// The Git server went on with the repository's password when the lab had gone back to
// its own, so that Flux could no longer fetch.
func TestGitServerRefusesFluxAfterTheIdentityIsGone(t *testing.T) {
	l, f := newLab(t), testFleet("site-a")
	prepare(t, l, f, l.ChooseSecrets(f, initSecrets(t, l, f, "of-the-repository")))
	upstream := l.startFake(t, processName("", upstreamComponent))
	prepare(t, l, f, &Secrets{})
	if upstream.Alive() {
		t.Error("the Git server goes on with the repository's password")
	}
	upstream = l.startFake(t, processName("", upstreamComponent))
	prepare(t, l, f, &Secrets{})
	if !upstream.Alive() {
		t.Error("the Git server was stopped for nothing")
	}
}

func TestOwnSecretsWithANotice(t *testing.T) {
	none := func() (*secret.Identities, error) { return &secret.Identities{}, nil }
	for name, test := range map[string]struct {
		change func(t *testing.T, l *Lab, f *fleet.Fleet)
		keys   func() (*secret.Identities, error) // nil: those of the operator
		want   string                             // "": no notice
	}{
		"no identity":  {keys: none, want: "no age identity at hand opens it"},
		"broken file":  {keys: func() (*secret.Identities, error) { return nil, errors.New("keys.txt is broken") }, want: "keys.txt is broken"},
		"no new site":  {change: func(_ *testing.T, _ *Lab, f *fleet.Fleet) { f.Sites = append(f.Sites, testSite("site-c", 3)) }, want: "archipel secret init makes"},
		"no variables": {change: remove(secret.AnsibleFile("site-a")), want: secret.AnsibleFile("site-a")},
		"not SOPS": {change: func(t *testing.T, l *Lab, _ *fleet.Fleet) {
			write(t, l.config.Repository, secret.GitFile("site-a"), "of production\n")
		}, want: secret.GitFile("site-a")},
		"different": {change: func(t *testing.T, l *Lab, _ *fleet.Fleet) {
			write(t, l.config.Repository, secret.GitFile("site-a"), read(t, filepath.Join(l.config.Repository, secret.FluxFile("site-a", "cilium-ca"))))
		}, want: "no username and password"},
		"none at all": {change: func(t *testing.T, l *Lab, _ *fleet.Fleet) {
			for _, site := range []string{"site-a", "site-b"} {
				if err := os.RemoveAll(filepath.Join(l.config.Repository, clusters, site, "secrets")); err != nil {
					t.Fatal(err)
				}
			}
		}, keys: none},
	} {
		t.Run(name, func(t *testing.T) {
			l, f := newLab(t), testFleet("site-a", "site-b")
			keys := initSecrets(t, l, f, "hidden-password")
			if test.keys != nil {
				keys = test.keys
			}
			if test.change != nil {
				test.change(t, l, f)
			}
			s := l.ChooseSecrets(f, keys)
			if !s.own() || (s.Notice == "") != (test.want == "") || !strings.Contains(s.Notice, test.want) ||
				strings.Contains(s.Notice, "\n") || strings.Contains(s.Notice, "hidden-password") {
				t.Errorf("own %t, notice %q, want %q", s.own(), s.Notice, test.want)
			}
		})
	}
}

func remove(name string) func(*testing.T, *Lab, *fleet.Fleet) {
	return func(t *testing.T, l *Lab, _ *fleet.Fleet) {
		if err := os.Remove(filepath.Join(l.config.Repository, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// The Git server of a lab knows one user.
func TestTwoUsersOfGit(t *testing.T) {
	s := &Secrets{}
	one := map[string]string{"username": "flux", "password": "one"}
	if err := errors.Join(s.addCredentials("site-a", one), s.addCredentials("site-b", one)); err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]map[string]string{
		"another password": {"username": "flux", "password": "hidden"},
		"two lines":        {"username": "flux", "password": "hidden\nhidden"},
		"no password":      {"username": "flux", "identity": "hidden"},
	} {
		if err := s.addCredentials("site-c", other); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
