package serve_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	repo "helm.sh/helm/v4/pkg/repo/v1"

	"archipel/lab/internal/labtest"
	"archipel/lab/internal/pack"
	"archipel/lab/internal/serve"
)

const (
	gitHost  = "git.archipel.example"
	user     = "flux"
	password = "canary-of-the-lab"
)

// lab is a running server with one repository and one pack.
type lab struct {
	manifest pack.Manifest
	ca       string // file
	proxy    *url.URL
	plain    string
	log      *buffer
	stop     func() error
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.String()
}

func start(t *testing.T) *lab {
	t.Helper()
	dir := t.TempDir()
	content := filepath.Join(dir, "content")
	manifest, err := pack.Write(content, labtest.Modules(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "git")
	bare := filepath.Join(root, "archipel.git")
	work := filepath.Join(dir, "work")
	git(t, dir, "init", "-q", "--bare", "-b", "main", bare)
	git(t, dir, "init", "-q", "-b", "main", work)
	if err := os.WriteFile(filepath.Join(work, "hello.yaml"), []byte("hello: world\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, work, "add", "hello.yaml")
	git(t, work, "commit", "-q", "-m", "first")
	git(t, work, "push", "-q", bare, "main")
	credentials := filepath.Join(dir, "credentials")
	if err := os.WriteFile(credentials, []byte(user+":"+password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	l := &lab{manifest: manifest, ca: filepath.Join(dir, "ca.pem"), log: &buffer{}}
	server, err := serve.Listen(serve.Config{
		Listen:  "127.0.0.1:0",
		Proxy:   "127.0.0.1:0",
		CA:      l.ca,
		Content: content,
		Git:     &serve.Git{Root: root, Hosts: []string{gitHost}, Credentials: credentials},
		Charts: []serve.Charts{
			{Host: "helm.cilium.io", Path: "/", Chart: "cilium"},
			{Host: "metallb.github.io", Path: "/metallb/", Chart: "metallb"},
		},
		Registries: []string{"ghcr.io"},
	}, slog.New(slog.NewJSONHandler(l.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	l.proxy = &url.URL{Scheme: "http", Host: server.ProxyAddr().String()}
	l.plain = "http://" + server.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	l.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Second):
			return errors.New("the server did not stop within 10 s")
		}
	})
	t.Cleanup(func() {
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// git runs git without the configuration of whoever runs the tests.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	output, err := tryGit(t, dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

func tryGit(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	command := exec.Command("git", args...)
	command.Dir = dir
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.org", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.org",
	}
	output, err := command.CombinedOutput()
	return string(output), err
}

func (l *lab) overProxy(args ...string) []string {
	return append([]string{"-c", "http.proxy=" + l.proxy.String(), "-c", "http.sslCAInfo=" + l.ca}, args...)
}

// transport is one client of the proxy that trusts its authority alone.
func (l *lab) transport(t *testing.T) *http.Transport {
	t.Helper()
	pem, err := os.ReadFile(l.ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the file")
	}
	transport := &http.Transport{
		Proxy:             http.ProxyURL(l.proxy),
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true, // as the default client does
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func (l *lab) get(t *testing.T, target string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: l.transport(t), Timeout: 10 * time.Second}
	response, err := client.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestGitIsReadWithTheCredentialOnly(t *testing.T) {
	l := start(t)
	dir := t.TempDir()
	address := func(userinfo string) string { return "https://" + userinfo + gitHost + "/archipel.git" }

	git(t, dir, l.overProxy("clone", "-q", address(user+":"+password+"@"), "clone")...)
	if data, err := os.ReadFile(filepath.Join(dir, "clone", "hello.yaml")); err != nil || string(data) != "hello: world\n" {
		t.Errorf("the clone holds %q (%v)", data, err)
	}
	git(t, filepath.Join(dir, "clone"), l.overProxy("fetch", "-q", "--depth=1")...)

	for name, userinfo := range map[string]string{
		"no credential": "", "wrong password": user + ":wrong@", "wrong user": "root:" + password + "@", "no password": user + ":@",
	} {
		output, err := tryGit(t, dir, l.overProxy("clone", "-q", address(userinfo), "refused")...)
		if err == nil || !strings.Contains(output, "Authentication failed") && !strings.Contains(output, "could not read Username") {
			t.Errorf("%s: clone gave %v: %s", name, err, output)
		}
	}

	clone := filepath.Join(dir, "clone")
	git(t, clone, "commit", "-q", "--allow-empty", "-m", "second")
	if output, err := tryGit(t, clone, l.overProxy("push", "origin", "main")...); err == nil || !strings.Contains(output, "403") {
		t.Errorf("push gave %v: %s", err, output)
	}
	client := &http.Client{Transport: l.transport(t)}
	for path, want := range map[string]int{
		"/archipel.git/git-receive-pack": http.StatusForbidden,
		"/archipel.git/config":           http.StatusNotFound,
	} {
		request, err := http.NewRequest(http.MethodPost, address("")+strings.TrimPrefix(path, "/archipel.git"), strings.NewReader("0000"))
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth(user, password)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("POST %s: %d, want %d", path, response.StatusCode, want)
		}
	}

	log := l.log.String()
	if !strings.Contains(log, `"host":"`+gitHost+`","method":"GET","path":"/archipel.git/info/refs","status":200`) {
		t.Errorf("the log does not show the clone:\n%s", log)
	}
	for _, secret := range []string{password, base64.StdEncoding.EncodeToString([]byte(user + ":" + password))} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds the credential:\n%s", log)
		}
	}
}

func TestProxyReachesNothingElse(t *testing.T) {
	l := start(t)
	for name, request := range map[string]string{
		"github.com:443":      "CONNECT github.com:443 HTTP/1.1\r\nHost: github.com:443\r\n\r\n",
		"helm.cilium.io:80":   "CONNECT helm.cilium.io:80 HTTP/1.1\r\nHost: helm.cilium.io:80\r\n\r\n",
		"helm.cilium.io":      "GET http://helm.cilium.io/index.yaml HTTP/1.1\r\nHost: helm.cilium.io\r\n\r\n",
		"127.0.0.1:6443":      "CONNECT 127.0.0.1:6443 HTTP/1.1\r\nHost: 127.0.0.1:6443\r\n\r\n",
		"plain.example.org":   "GET http://plain.example.org/ HTTP/1.1\r\nHost: plain.example.org\r\n\r\n",
		"sub.helm.cilium.io:": "CONNECT sub.helm.cilium.io: HTTP/1.1\r\nHost: sub.helm.cilium.io:\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", l.proxy.Host)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, len("HTTP/1.1 403"))
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 403" {
			t.Errorf("%s: answer %q (%v)", name, answer, err)
		}
		conn.Close()
		if !strings.Contains(l.log.String(), `"host":"`+name+`"`) {
			t.Errorf("the log does not name %s", name)
		}
	}

	// A tunnel to one host is no way to another one.
	client := &http.Client{Transport: l.transport(t)}
	request, err := http.NewRequest(http.MethodGet, "https://helm.cilium.io/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "ghcr.io"
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("ghcr.io through the tunnel of helm.cilium.io: %d", response.StatusCode)
	}
}

func TestRegistryGivesTheManifestsOfFlux(t *testing.T) {
	l := start(t)
	artifact := l.manifest.Artifacts[0]
	reference, err := name.ParseReference(artifact.Reference)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(reference, remote.WithTransport(l.transport(t)))
	if err != nil {
		t.Fatal(err)
	}
	if digest, err := image.Digest(); err != nil || digest.String() != artifact.Digest {
		t.Errorf("digest %v (%v), want %s", digest, err, artifact.Digest)
	}
	if _, err := remote.Image(reference.Context().Digest(artifact.Digest), remote.WithTransport(l.transport(t))); err != nil {
		t.Errorf("pulling by digest: %v", err)
	}
	if tags, err := remote.List(reference.Context(), remote.WithTransport(l.transport(t))); err != nil || !slices.Equal(tags, []string{reference.Identifier()}) {
		t.Errorf("tags %v (%v)", tags, err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers (%v)", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var manifests string
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name == "gotk-components.yaml" {
			data, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			manifests = string(data)
		}
	}
	if len(artifact.Images) != 4 {
		t.Errorf("images %v, want those of four controllers", artifact.Images)
	}
	for _, image := range artifact.Images {
		if !strings.Contains(manifests, "image: "+image+"\n") {
			t.Errorf("gotk-components.yaml does not name %s", image)
		}
	}
	if err := remote.Write(reference.Context().Tag("mine"), image, remote.WithTransport(l.transport(t))); err == nil {
		t.Error("the registry took a push")
	}
}

func TestEachChartHostHasItsOwnIndex(t *testing.T) {
	l := start(t)
	roots := map[string]string{"cilium": "https://helm.cilium.io/", "metallb": "https://metallb.github.io/metallb/"}
	for _, chart := range l.manifest.Charts {
		root := roots[chart.Name]
		status, body := l.get(t, root+"index.yaml")
		if status != http.StatusOK {
			t.Fatalf("%sindex.yaml: %d", root, status)
		}
		file := filepath.Join(t.TempDir(), "index.yaml")
		if err := os.WriteFile(file, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
		index, err := repo.LoadIndexFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(index.Entries) != 1 || !index.Has(chart.Name, chart.Version) {
			t.Errorf("%s lists %v, want %s %s alone", root, index.Entries, chart.Name, chart.Version)
		}
		if status, body := l.get(t, root+filepath.Base(chart.File)); status != http.StatusOK || len(body) < 10_000 {
			t.Errorf("%s: %d, %d bytes", chart.File, status, len(body))
		}
	}
	for _, absent := range []string{
		"https://helm.cilium.io/", "https://helm.cilium.io/metallb-0.16.2.tgz", "https://metallb.github.io/index.yaml",
		"https://metallb.github.io/metallb/../../cilium/index.yaml", "https://helm.cilium.io/..%2fmetallb%2findex.yaml",
	} {
		if status, _ := l.get(t, absent); status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", absent, status)
		}
	}
}

func TestProxyLeaksNothing(t *testing.T) {
	l := start(t)
	l.get(t, "https://helm.cilium.io/index.yaml")
	before := runtime.NumGoroutine()
	for i := range 200 {
		switch i % 4 {
		case 0, 1: // a whole request
			transport := l.transport(t)
			request, err := http.NewRequest(http.MethodGet, "https://helm.cilium.io/index.yaml", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			transport.CloseIdleConnections()
		case 2, 3: // a tunnel that is left before or in the TLS handshake
			conn, err := net.Dial("tcp", l.proxy.Host)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, "CONNECT ghcr.io:443 HTTP/1.1\r\nHost: ghcr.io:443\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if i%4 == 3 {
				if _, err := io.WriteString(conn, "\x16\x03\x01"); err != nil {
					t.Fatal(err)
				}
			}
			conn.Close()
		}
	}
	// A few belong to connections that the clients have only just closed.
	if after := settled(before + 5); after > before+5 {
		t.Errorf("%d goroutines before 200 connections, %d after", before, after)
	}
}

// settled returns the number of goroutines once it is at most limit, or after 2 s.
func settled(limit int) int {
	for range 40 {
		if runtime.NumGoroutine() <= limit {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return runtime.NumGoroutine()
}

func TestTunnelCarriesSeveralRequests(t *testing.T) {
	l := start(t)
	client := &http.Client{Transport: l.transport(t)}
	for i, wantReused := range []bool{false, true, true} {
		request, err := http.NewRequest(http.MethodGet, "https://ghcr.io/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		reused := false
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
		response, err := client.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK || response.ProtoMajor != 1 || reused != wantReused {
			t.Errorf("request %d: status %d, HTTP/%d, connection reused: %v", i, response.StatusCode, response.ProtoMajor, reused)
		}
	}
}

func TestStopEndsOpenTunnels(t *testing.T) {
	l := start(t)
	if response, err := http.Get(l.plain + "/healthz"); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("healthz: %v (%v)", response, err)
	}
	if response, err := http.Get(l.plain + "/index.yaml"); err != nil || response.StatusCode != http.StatusNotFound {
		t.Fatalf("the plain address serves more than its health: %v (%v)", response, err)
	}
	l.get(t, "https://ghcr.io/v2/") // leaves an idle connection
	silent, err := net.Dial("tcp", l.proxy.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := io.WriteString(silent, "CONNECT ghcr.io:443 HTTP/1.1\r\nHost: ghcr.io:443\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(silent, make([]byte, len("HTTP/1.1 200"))); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if err := silent.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, silent); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the tunnel is still open")
	}
	if conn, err := net.Dial("tcp", l.proxy.Host); err == nil {
		conn.Close()
		t.Error("the proxy still accepts connections")
	}
}

func TestConfigIsRefused(t *testing.T) {
	for name, test := range map[string]struct{ config, want string }{
		"all interfaces":   {`{"listen":"0.0.0.0:80","proxy":"127.0.0.1:0","ca":"ca"}`, "listen: \"0.0.0.0:80\" is not a loopback address"},
		"no address":       {`{"listen":":80","proxy":"127.0.0.1:0","ca":"ca"}`, "not a loopback address"},
		"a name":           {`{"listen":"127.0.0.1:0","proxy":"localhost:80","ca":"ca"}`, "proxy: \"localhost:80\" is not a loopback address"},
		"another machine":  {`{"listen":"127.0.0.1:0","proxy":"192.0.2.1:80","ca":"ca"}`, "not a loopback address"},
		"no port":          {`{"listen":"127.0.0.1","proxy":"127.0.0.1:0","ca":"ca"}`, "is not address:port"},
		"no authority":     {`{"listen":"127.0.0.1:0","proxy":"127.0.0.1:0"}`, "ca: name the file"},
		"unknown field":    {`{"listen":"127.0.0.1:0","proxy":"127.0.0.1:0","ca":"ca","gti":{}}`, `unknown field "gti"`},
		"no content":       {`{"listen":"127.0.0.1:0","proxy":"127.0.0.1:0","ca":"ca","registries":["ghcr.io"]}`, "content: name the folder"},
		"one host, twice":  {`{"listen":"127.0.0.1:0","proxy":"127.0.0.1:0","ca":"ca","content":"c","git":{"root":"g","hosts":["ghcr.io"]},"registries":["ghcr.io"]}`, "already served as git"},
		"chart path":       {`{"listen":"127.0.0.1:0","proxy":"127.0.0.1:0","ca":"ca","content":"c","charts":[{"host":"a.example","path":"/x/../y/","chart":"y"}]}`, "must be clean"},
		"chart name":       {`{"listen":"127.0.0.1:0","proxy":"127.0.0.1:0","ca":"ca","content":"c","charts":[{"host":"a.example","path":"/","chart":"../y"}]}`, "not the name of a chart"},
		"address as host":  {`{"listen":"127.0.0.1:0","proxy":"127.0.0.1:0","ca":"ca","content":"c","registries":["127.0.0.1"]}`, "not a host name"},
		"upper case host":  {`{"listen":"127.0.0.1:0","proxy":"127.0.0.1:0","ca":"ca","content":"c","registries":["GHCR.io"]}`, "not a host name"},
		"more than a file": {`{"listen":"127.0.0.1:0","proxy":"127.0.0.1:0","ca":"ca"} {}`, "more than one"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(file, []byte(test.config), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := serve.ReadConfig(file); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestCredentialsMustBePrivate(t *testing.T) {
	for name, test := range map[string]struct {
		data string
		mode os.FileMode
		want string
	}{
		"others may read": {user + ":" + password, 0o644, "chmod 600"},
		"no password":     {password, 0o600, "user:password"},
		"empty":           {"", 0o600, "user:password"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "credentials")
		if err := errors.Join(os.WriteFile(file, []byte(test.data), test.mode), os.Chmod(file, test.mode)); err != nil {
			t.Fatal(err)
		}
		_, err := serve.Listen(serve.Config{
			Listen: "127.0.0.1:0", Proxy: "127.0.0.1:0", CA: filepath.Join(dir, "ca.pem"),
			Git: &serve.Git{Root: dir, Hosts: []string{gitHost}, Credentials: file},
		}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: error %v, want one with %q and without the secret", name, err, test.want)
		}
	}
}
