package server

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"archipel/lab/internal/k3s/join"
	"archipel/lab/internal/k3s/option"
)

// values reads a configuration.
func values(t *testing.T, config string) option.Values {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := option.Read(option.Server, []string{"--config=" + file}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const good = "flannel-backend: none\ndisable-kube-proxy: true\ndisable-network-policy: true\ndisable: [servicelb, traefik]\n"

func TestCheckOptions(t *testing.T) {
	for config, want := range map[string]string{
		good: "",
		good + "service-cidr: 10.65.0.0/16\ncluster-dns: 10.65.0.10\n":      "",
		strings.Replace(good, "flannel-backend: none", "debug: true", 1):    "flannel",
		strings.Replace(good, "disable-kube-proxy: true", "debug: true", 1): "disable-kube-proxy",
		strings.Replace(good, "servicelb, traefik", "servicelb", 1):         "does not hold traefik",
		strings.Replace(good, "servicelb, traefik", "servicelb,traefik", 1): "",
		strings.Replace(good, "traefik", "traefik, flannel", 1):             `no component "flannel"`,
		good + "cluster-cidr: 10.64.0.0\n":                                  "not a network",
		good + "service-cidr: 10.65.0.0/16\ncluster-dns: 10.66.0.10\n":      "not within",
		good + "cluster-reset-restore-path: /s\n":                           "cluster-reset is required",
	} {
		err := checkOptions(values(t, config))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot %v, not %q", config, err, want)
		}
	}
}

func TestArguments(t *testing.T) {
	got := arguments("prog", []string{"--a=1", "--b=2", "--c"}, []string{"b=3", "--d=4", "c=false"})
	if want := []string{"prog", "--a=1", "--b=3", "--d=4", "--c=false"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAPIServerArguments(t *testing.T) {
	s := &server{values: values(t, good+"kube-apiserver-arg: [\"enable-admission-plugins=NodeRestriction,ValidatingAdmissionWebhook,EventRateLimit\", audit-log-maxage=30]\n"), layout: layout{data: t.TempDir()}}
	args := s.apiserver().Args
	for _, want := range []string{"--enable-admission-plugins=NodeRestriction,EventRateLimit", "--audit-log-maxage=30", "--disable-admission-plugins=MutatingAdmissionWebhook,ValidatingAdmissionWebhook"} {
		if !slices.Contains(args, want) {
			t.Errorf("no %s in %q", want, args)
		}
	}
	if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--encryption") }) {
		t.Error("it encrypts, though nobody asked for it")
	}
}

func TestSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{
		"token: a\n": "a", "token-file: " + file + "\n": "secret", "debug: true\n": "", "token: a\ntoken-file: " + file + "\n": "a",
	} {
		if got, err := Secret(values(t, config), "token"); err != nil || got != want {
			t.Errorf("%s: got %q, %v", config, got, err)
		}
	}
	for _, config := range []string{"token-file: /no/such\n", "token-file: /dev/null\n"} {
		if got, err := Secret(values(t, config), "token"); err == nil {
			t.Errorf("%s: got %q", config, got)
		}
	}
}

// TestAuthorized holds agents off from what is for servers.
func TestAuthorized(t *testing.T) {
	s := &server{values: values(t, good), layout: layout{data: t.TempDir()}, password: "servers", agent: "agents", log: io.Discard}
	if err := s.layout.makeBootstrap(true, "aescbc", time.Now()); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.supervisor())
	defer web.Close()
	for _, test := range []struct {
		path, user, password string
		want                 int
	}{
		{join.PathCA, "", "", http.StatusOK},
		{join.PathConfig, "", "", http.StatusUnauthorized},
		{join.PathConfig, "node", "agents", http.StatusOK},
		{join.PathConfig, "node", "servers", http.StatusOK},
		{join.PathConfig, "node", "wrong", http.StatusUnauthorized},
		{join.PathConfig, "server", "agents", http.StatusUnauthorized},
		{join.PathBootstrap, "server", "servers", http.StatusOK},
		{join.PathBootstrap, "node", "agents", http.StatusUnauthorized},
		{join.PathBootstrap, "node", "servers", http.StatusUnauthorized},
		{join.PathBootstrap, "server", "", http.StatusUnauthorized},
		{join.PathBootstrap, "", "", http.StatusUnauthorized},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.user != "" {
			request.SetBasicAuth(test.user, test.password)
		}
		response, err := web.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.want {
			t.Errorf("%s as %s with %q: %d, not %d", test.path, test.user, test.password, response.StatusCode, test.want)
		}
	}
}

func TestBootstrapFiles(t *testing.T) {
	a, b := layout{data: t.TempDir()}, layout{data: t.TempDir()}
	if err := a.makeBootstrap(true, "secretbox", time.Now()); err != nil {
		t.Fatal(err)
	}
	files, err := a.readBootstrap()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.writeBootstrap(files); err != nil {
		t.Fatal(err)
	}
	if err := b.makeBootstrap(true, "aescbc", time.Now()); err != nil {
		t.Fatal(err)
	}
	copied, err := b.readBootstrap()
	if err != nil || !sameFiles(files, copied) {
		t.Errorf("the files of another server changed (%v)", err)
	}
	if err := b.writeBootstrap(map[string][]byte{"../../etc/passwd": nil}); err == nil {
		t.Error("any file is written")
	}
	if err := b.makeLeaves([]string{"192.0.2.1"}, "a", time.Now()); err != nil {
		t.Error(err)
	}
	if err := b.writeAdmin(filepath.Join(b.data, "k3s.yaml"), "384"); err == nil {
		t.Error("384 is a mode")
	}
	if err := b.writeAdmin(filepath.Join(b.data, "k3s.yaml"), "0600"); err != nil {
		t.Error(err)
	}
	if err := b.makeBootstrap(true, "none", time.Now()); err != nil {
		t.Error(err) // it is there already
	}
	if _, err := encryptionConfig("none"); err == nil {
		t.Error("an unknown provider is accepted")
	}
}

func TestSnapshotFiles(t *testing.T) {
	dir := t.TempDir()
	s := snapshots{dir: dir, node: "a"}
	for _, name := range []string{"etcd-snapshot-a-1795863000.zip", "etcd-snapshot-a-1795862000", "etcd-snapshot-a-1795864000", "on-demand-a-1795861000", "x.part"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := s.prune("etcd-snapshot", 2)
	if err != nil || !slices.Equal(removed, []string{"etcd-snapshot-a-1795862000"}) {
		t.Errorf("removed %q, %v", removed, err)
	}
	var out bytes.Buffer
	if err := s.list(&out, "standard"); err != nil || strings.Count(out.String(), "\n") != 4 || !strings.Contains(out.String(), "on-demand-a-1795861000") {
		t.Errorf("got %s, %v", out.String(), err)
	}
	if err := s.list(io.Discard, "xml"); err == nil {
		t.Error("any format is good")
	}
	for _, name := range []string{"../a", "..", "none"} {
		if err := s.remove(name); err == nil {
			t.Errorf("%s was removed", name)
		}
	}
}

func TestCompress(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "s-1")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := compress(file, "s-1"); err != nil {
		t.Fatal(err)
	}
	back, err := decompress(file+".zip", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(back); err != nil || string(data) != "content" {
		t.Errorf("got %q, %v", data, err)
	}
	if _, err := decompress(file, dir); err == nil {
		t.Error("a file that is no archive is one")
	}
}

func TestReadEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "environment")
	if err := os.WriteFile(file, []byte("# a\nHTTPS_PROXY=http://192.0.2.1:8481\n\nexport SSL_CERT_FILE=\"/ca.crt\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readEnvironment(file)
	if err != nil || !slices.Equal(got, []string{"HTTPS_PROXY=http://192.0.2.1:8481", "SSL_CERT_FILE=/ca.crt"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := readEnvironment(file + "x"); err != nil || got != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
