package lab

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getsops/sops/v3/decrypt"
	"sigs.k8s.io/yaml"
)

func makeSecrets(t *testing.T, l *Lab, names ...string) {
	t.Helper()
	if err := l.makeSecrets(testFleet(names...)); err != nil {
		t.Fatal(err)
	}
}

// everything reads all files below a folder by their relative names.
func everything(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		files[filepath.ToSlash(relative)] = read(t, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// open decrypts one of the lab's files and returns the Secret's values.
func open(t *testing.T, l *Lab, encrypted string) (namespace, name string, values map[string]string) {
	t.Helper()
	identity, err := l.identity()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOPS_AGE_KEY", identity)
	plain, err := decrypt.Data([]byte(encrypted), "yaml")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		APIVersion, Kind, Type string
		Metadata               struct{ Name, Namespace string }
		StringData             map[string]string
	}
	if err := yaml.UnmarshalStrict(plain, &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.APIVersion != "v1" || manifest.Kind != "Secret" || manifest.Type != "Opaque" {
		t.Errorf("got a %s %s %s", manifest.APIVersion, manifest.Kind, manifest.Type)
	}
	return manifest.Metadata.Namespace, manifest.Metadata.Name, manifest.StringData
}

func TestSecrets(t *testing.T) {
	l := newLab(t)
	makeSecrets(t, l, "site-a", "site-b")
	files := everything(t, l.secretsDir())
	var names []string
	for name := range files {
		names = append(names, name)
	}
	if len(files) != 6 {
		t.Fatalf("files are %q", names)
	}
	private(t, l.secretsDir())

	user, password, _ := strings.Cut(strings.TrimSpace(files["git-credentials"]), ":")
	if user != "flux" || len(password) != 64 {
		t.Errorf("the user is %q, the password has %d characters", user, len(password))
	}
	for _, site := range []string{"site-a", "site-b"} {
		namespace, name, values := open(t, l, files[site+"/flux-system.sops.yaml"])
		if namespace != "flux-system" || name != "flux-system" || values["username"] != user || values["password"] != password || len(values) != 2 {
			t.Errorf("%s: %s/%s does not hold the credentials", site, namespace, name)
		}
		namespace, name, values = open(t, l, files[site+"/cilium-ca.sops.yaml"])
		if namespace != "kube-system" || name != "cilium-ca" || len(values) != 2 {
			t.Errorf("%s: got %s/%s", site, namespace, name)
		}
		block, _ := pem.Decode([]byte(values["ca.crt"]))
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !ca.IsCA || ca.NotAfter.Before(now().AddDate(9, 0, 0)) {
			t.Errorf("%s: %+v, %v", site, ca, err)
		}
		if key, _ := pem.Decode([]byte(values["ca.key"])); key == nil {
			t.Errorf("%s: the CA has no key", site)
		}
	}
}

func TestSecretsAreMadeOnce(t *testing.T) {
	l := newLab(t)
	makeSecrets(t, l, "site-a", "site-b")
	before := everything(t, l.dir)
	makeSecrets(t, l, "site-a", "site-b")
	if after := everything(t, l.dir); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("the second time changed files")
	}
}

func TestNewSiteJoinsTheMesh(t *testing.T) {
	l := newLab(t)
	makeSecrets(t, l, "site-b")
	before := everything(t, l.secretsDir())
	// Its name sorts before that of the old site.
	makeSecrets(t, l, "site-a", "site-b", "site-c")
	after := everything(t, l.secretsDir())
	for name, content := range before {
		if after[name] != content {
			t.Errorf("%s has changed", name)
		}
	}
	for _, site := range []string{"site-a", "site-c"} {
		if after[site+"/cilium-ca.sops.yaml"] != before["site-b/cilium-ca.sops.yaml"] {
			t.Errorf("%s has another CA", site)
		}
		if _, _, values := open(t, l, after[site+"/flux-system.sops.yaml"]); values["username"] != "flux" {
			t.Errorf("%s has no credentials", site)
		}
	}
	// So does a site whose state was removed.
	if err := os.RemoveAll(filepath.Join(l.secretsDir(), "site-a")); err != nil {
		t.Fatal(err)
	}
	makeSecrets(t, l, "site-a", "site-b", "site-c")
	if again := everything(t, l.secretsDir()); again["site-a/cilium-ca.sops.yaml"] != before["site-b/cilium-ca.sops.yaml"] {
		t.Error("site-a has another CA")
	}
}

func TestSecretFiles(t *testing.T) {
	l := newLab(t)
	if _, err := l.secretFiles(testFleet("site-a")); err == nil {
		t.Error("no error before they are made")
	}
	makeSecrets(t, l, "site-a", "site-b")
	got, err := l.secretFiles(testFleet("site-a", "site-b"))
	if err != nil {
		t.Fatal(err)
	}
	disk := everything(t, l.secretsDir())
	if len(got) != 4 {
		t.Errorf("%d files", len(got))
	}
	for _, site := range []string{"site-a", "site-b"} {
		for _, name := range []string{"cilium-ca.sops.yaml", "flux-system.sops.yaml"} {
			if string(got[path.Join("kubernetes/flux/clusters", site, "secrets", name)]) != disk[site+"/"+name] {
				t.Errorf("%s of %s is missing or differs", name, site)
			}
		}
	}
}

func TestBrokenIdentity(t *testing.T) {
	l := newLab(t)
	makeSecrets(t, l, "site-a")
	identity, err := l.identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.identityFile(), []byte(identity[:40]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = l.makeSecrets(testFleet("site-a", "site-b"))
	if err == nil || strings.Contains(err.Error(), identity[16:40]) {
		t.Fatalf("got %v", err)
	}
}

// canaries are the lab's secret values.
func canaries(t *testing.T, l *Lab) map[string]string {
	t.Helper()
	files := everything(t, l.secretsDir())
	_, password, _ := strings.Cut(strings.TrimSpace(files["git-credentials"]), ":")
	found := map[string]string{"identity": strings.TrimSpace(files["age.agekey"]), "password": password}
	for name, file := range files {
		if path.Base(name) == "cilium-ca.sops.yaml" {
			_, _, values := open(t, l, file)
			// A line out of the middle of the key.
			found["mesh CA"] = strings.Split(values["ca.key"], "\n")[1]
		}
	}
	for name, value := range found {
		if len(value) < 40 {
			t.Fatalf("%s is %d characters long", name, len(value))
		}
	}
	return found
}

// No secret stands on disk in plaintext but where the lab itself reads it.
func TestSecretsOnDisk(t *testing.T) {
	l := newLab(t)
	write(t, l.config.Repository, "README.md", "fleet\n")
	f := testFleet("site-a", "site-b")
	makeSecrets(t, l, "site-a", "site-b")
	if _, err := l.snapshot(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	allowed := map[string]string{"identity": "secrets/age.agekey", "password": "secrets/git-credentials"}
	seen := 0
	for kind, canary := range canaries(t, l) {
		for name, content := range everything(t, l.config.StateHome) {
			if strings.Contains(content, canary) {
				if !strings.HasSuffix(name, allowed[kind]) || allowed[kind] == "" {
					t.Errorf("the %s stands in %s", kind, name)
				}
				seen++
			}
		}
		// Git's objects are compressed.
		bare := filepath.Join(l.gitDir(), "team", "fleet.git")
		for object := range strings.FieldsSeq(git(t, bare, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")) {
			if bytes.Contains([]byte(git(t, bare, "cat-file", "-p", object)), []byte(canary)) {
				t.Errorf("the %s is served in Git object %s", kind, object)
			}
		}
	}
	if seen != 2 {
		t.Errorf("%d files hold a secret, the test expects 2", seen)
	}
}
