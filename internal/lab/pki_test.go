package lab

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

var labAddress = netip.MustParseAddr("127.10.0.1")

func newPKI(t *testing.T, dir string) pki {
	t.Helper()
	p, _, err := makePKI(dir, labAddress, now())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// contents reads a folder's files by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		files[entry.Name()] = read(t, filepath.Join(dir, entry.Name()))
	}
	return files
}

func TestPKI(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site", "pki")
	p := newPKI(t, dir)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(read(t, p.file("ca.crt")))) {
		t.Fatal("no CA")
	}
	leaf := func(name string) *x509.Certificate {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(p.file(name+".crt"), p.file(name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf
	}
	for _, name := range []string{"kubernetes.default.svc", "localhost", labAddress.String(), "127.0.0.1", "127.96.0.1"} {
		if _, err := leaf("apiserver").Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("the API server is not %s: %v", name, err)
		}
	}
	if _, err := leaf("etcd").Verify(x509.VerifyOptions{Roots: roots, DNSName: labAddress.String()}); err != nil {
		t.Errorf("etcd: %v", err)
	}
	for name, want := range map[string]string{
		"admin": "[system:masters]", "etcd-client": "[]",
		"system:kube-controller-manager": "[]", "system:kube-scheduler": "[]",
	} {
		c := leaf(name)
		if _, err := c.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := fmt.Sprint(c.Subject.Organization); got != want {
			t.Errorf("%s is in the groups %s, want %s", name, got, want)
		}
	}
	// The authority's key is thrown away: nobody can add a user later.
	if _, err := os.Stat(p.file("ca.key")); !os.IsNotExist(err) {
		t.Errorf("the authority's key is kept: %v", err)
	}
	private(t, dir)
}

// private checks that nobody else may read a folder, and what is in it.
func private(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPKIIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	newPKI(t, dir)
	before := contents(t, dir)
	newPKI(t, dir)
	after := contents(t, dir)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("the second time changed files")
	}
}

// A lab that was killed while it wrote must not begin with halves of two sets.
func TestPKIHalfWritten(t *testing.T) {
	dir := t.TempDir()
	p := newPKI(t, dir)
	for _, name := range []string{"complete", "apiserver.key"} {
		if err := os.Remove(p.file(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(p.file("admin.crt"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	newPKI(t, dir)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(read(t, p.file("ca.crt"))))
	for _, name := range []string{"apiserver", "etcd", "etcd-client", "admin", "system:kube-controller-manager", "system:kube-scheduler"} {
		pair, err := tls.LoadX509KeyPair(p.file(name+".crt"), p.file(name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if block, _ := pem.Decode([]byte(read(t, p.file("service-account.pub")))); block == nil {
		t.Error("no key for service accounts")
	}
}

// server is an API server that answers with its client's user and group.
func server(t *testing.T, p pki) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(p.file("apiserver.crt"), p.file("apiserver.key"))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(read(t, p.file("ca.crt"))))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject := r.TLS.PeerCertificates[0].Subject
		fmt.Fprint(w, subject.CommonName, subject.Organization)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// whoami asks the current server of a kubeconfig context who we are.
func whoami(t *testing.T, config *rest.Config) (string, error) {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	response, err := client.Get(config.Host)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestKubeconfig(t *testing.T) {
	a, b := newPKI(t, t.TempDir()), newPKI(t, t.TempDir())
	data, err := kubeconfig([]kubeconfigContext{
		{name: "site-a", server: server(t, a), pki: a, user: "admin"},
		{name: "site-b", server: server(t, b), pki: b, user: "system:kube-scheduler"},
	})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := clientcmd.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := clientcmd.Validate(*loaded); err != nil {
		t.Fatal(err)
	}
	if loaded.CurrentContext != "site-a" || len(loaded.Contexts) != 2 {
		t.Errorf("current is %q of %d contexts", loaded.CurrentContext, len(loaded.Contexts))
	}
	for context, want := range map[string]string{"": "admin[system:masters]", "site-a": "admin[system:masters]", "site-b": "system:kube-scheduler[]"} {
		config, err := clientcmd.NewNonInteractiveClientConfig(*loaded, context, nil, nil).ClientConfig()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := whoami(t, config); err != nil || got != want {
			t.Errorf("context %q is %q, %v", context, got, err)
		}
	}
	// The sites do not trust one another.
	loaded.Contexts["site-a"].AuthInfo = "site-b"
	config, err := clientcmd.NewNonInteractiveClientConfig(*loaded, "site-a", nil, nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := whoami(t, config); err == nil {
		t.Errorf("a user of site-b is %q at site-a", got)
	}
}

func TestKubeconfigEdges(t *testing.T) {
	data, err := kubeconfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	if loaded, err := clientcmd.Load(data); err != nil || loaded.CurrentContext != "" {
		t.Errorf("of no site: %v\n%s", err, data)
	}
	_, err = kubeconfig([]kubeconfigContext{{name: "site-a", pki: pki{dir: t.TempDir()}, user: "admin"}})
	if err == nil || !strings.Contains(err.Error(), "site-a") {
		t.Errorf("without certificates: %v", err)
	}
}

// A site whose number has changed has another address, and needs certificates for it.
func TestPKIFollowsTheAddress(t *testing.T) {
	dir := t.TempDir()
	newPKI(t, dir)
	other := netip.MustParseAddr("127.10.0.2")
	p, _, err := makePKI(dir, other, now())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"apiserver", "etcd"} {
		pair, err := tls.LoadX509KeyPair(p.file(name+".crt"), p.file(name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		if err := pair.Leaf.VerifyHostname(other.String()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
