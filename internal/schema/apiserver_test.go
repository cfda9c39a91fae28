package schema

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAPIServer asks a real API server for its verdict on every object of the corpus: a dry
// run of server-side apply, as Flux does it, with unknown fields refused.
func TestAPIServer(t *testing.T) {
	if os.Getenv("ARCHIPEL_E2E") != "1" {
		t.Skip("starts an API server: make test-e2e sets ARCHIPEL_E2E=1")
	}
	s := startAPIServer(t)
	set, problems := New().Set(s.minor(t), definitions(t))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, definition := range definitions(t) {
		if message := s.apply(t, definition, false); message != "" {
			t.Fatal(message)
		}
	}
	for _, file := range []string{"builtin.yaml", "custom.yaml"} {
		for _, sample := range corpus(t, file) {
			if sample.object["apiVersion"] == "example.com/v1" {
				s.await(t, "/apis/example.com/v1/namespaces/default/widgets")
			}
			answer, verdict := s.apply(t, sample.object, true), set.Validate(sample.object)
			switch {
			case sample.Server != "":
				if answer != "" {
					t.Errorf("%s: the API server does not do what the sample says: %s", sample.Name, answer)
				}
			case answer == "" && len(verdict) > 0:
				t.Errorf("%s: the API server accepts what is refused here: %v", sample.Name, verdict)
			case answer != "" && len(verdict) == 0:
				t.Errorf("%s: the API server refuses what is accepted here: %s", sample.Name, answer)
			}
			if testing.Verbose() && answer != "" {
				t.Logf("%s:\n  here   %v\n  server %s", sample.Name, verdict, answer)
			}
		}
	}
	for _, c := range changes(t) {
		t.Run(c.Name, func(t *testing.T) {
			before := c.before
			if message := s.apply(t, before, false); message != "" {
				t.Fatalf("before: %s", message)
			}
			answer, verdict := s.apply(t, c.after, true), set.ImmutableChanges(before, c.after)
			if (answer == "") != (len(verdict) == 0) {
				t.Errorf("the API server says %q, here it is %v", answer, verdict)
			}
			if testing.Verbose() {
				t.Logf("\n  here   %v\n  server %s", verdict, answer)
			}
			s.remove(t, before)
		})
	}
}

type apiServer struct {
	url    string
	client *http.Client
	lists  map[string][]served
}

type served struct {
	Name, Kind string
	Namespaced bool
}

const token = "for-this-test-only"

// startAPIServer runs etcd and kube-apiserver of the lab until the test ends.
func startAPIServer(t *testing.T) *apiServer {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	programs, _ := filepath.Glob(filepath.Join(cache, "archipel", "lab", "*", "bin", "controlplane"))
	if len(programs) == 0 {
		t.Skip("the lab's programs are not built: make lab-programs builds them")
	}
	program, dir := programs[len(programs)-1], t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyFile, tokens := filepath.Join(dir, "key.pem"), filepath.Join(dir, "tokens.csv")
	for name, data := range map[string][]byte{
		keyFile: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
		tokens:  []byte(token + ",admin,admin,system:masters\n"),
	} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	etcd, peer, api := freePort(t), freePort(t), freePort(t)
	start(t, dir, program, "etcd", "--data-dir="+dir+"/etcd", "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
		"--unsafe-no-fsync", "--log-level=error")
	start(t, dir, program, "kube-apiserver", "--etcd-servers="+etcd, "--bind-address=127.0.0.1",
		"--secure-port="+strings.TrimPrefix(api, "http://127.0.0.1:"), "--cert-dir="+dir, "--token-auth-file="+tokens,
		"--authorization-mode=AlwaysAllow", "--service-cluster-ip-range=10.96.0.0/16", "--disable-admission-plugins=ServiceAccount",
		"--service-account-issuer=https://localhost", "--service-account-key-file="+keyFile, "--service-account-signing-key-file="+keyFile)
	s := &apiServer{url: strings.Replace(api, "http", "https", 1), lists: map[string][]served{}, client: &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}}
	s.await(t, "/readyz")
	s.await(t, "/api/v1/namespaces/default")
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return "http://" + listener.Addr().String()
}

func start(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, args[0]+".log"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, args...)
	command.Stdout, command.Stderr, command.Dir = log, log, dir
	command.Env = []string{"HOME=" + dir, "TMPDIR=" + dir}
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		log.Close()
		if t.Failed() {
			data, _ := os.ReadFile(log.Name())
			t.Logf("the end of %s:\n%s", log.Name(), data[max(0, len(data)-1000):])
		}
	})
}

// await asks for a path until it is there.
func (s *apiServer) await(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		code, body := s.do(http.MethodGet, path, "", nil)
		if code == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d %s", path, code, body)
		}
	}
}

func (s *apiServer) do(method, path, contentType string, body []byte) (int, string) {
	request, err := http.NewRequestWithContext(context.Background(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", contentType)
	response, err := s.client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(data)
}

func (s *apiServer) minor(t *testing.T) string {
	t.Helper()
	var version struct{ GitVersion string }
	if _, body := s.do(http.MethodGet, "/version", "", nil); json.Unmarshal([]byte(body), &version) != nil {
		t.Fatal(body)
	}
	return version.GitVersion
}

// path is where an object lives, "" when its kind is not served.
func (s *apiServer) path(object map[string]any, collection bool) string {
	apiVersion := text(object["apiVersion"])
	prefix := "/apis/" + apiVersion
	if !strings.Contains(apiVersion, "/") {
		prefix = "/api/" + apiVersion
	}
	if s.lists[prefix] == nil {
		var list struct{ Resources []served }
		if code, body := s.do(http.MethodGet, prefix, "", nil); code == http.StatusOK && json.Unmarshal([]byte(body), &list) == nil {
			s.lists[prefix] = list.Resources
		}
	}
	for _, r := range s.lists[prefix] {
		if r.Kind != object["kind"] || strings.Contains(r.Name, "/") {
			continue
		}
		if r.Namespaced {
			prefix += "/namespaces/default"
		}
		prefix += "/" + r.Name
		if !collection {
			metadata, _ := object["metadata"].(map[string]any)
			prefix += "/" + url.PathEscape(fmt.Sprint(metadata["name"]))
		}
		return prefix
	}
	return ""
}

// apply returns the API server's refusal, "" when it takes the object.
func (s *apiServer) apply(t *testing.T, object map[string]any, dry bool) string {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	metadata, _ := object["metadata"].(map[string]any)
	method, contentType, named := http.MethodPatch, "application/apply-patch+yaml", text(metadata["name"]) != ""
	if !named {
		method, contentType = http.MethodPost, "application/json"
	}
	path := s.path(object, !named)
	if path == "" {
		return "the kind is not served"
	}
	query := "?fieldValidation=Strict&fieldManager=test"
	if named {
		query += "&force=true"
	}
	if dry {
		query += "&dryRun=All"
	}
	code, body := s.do(method, path+query, contentType, data)
	if code == http.StatusOK || code == http.StatusCreated {
		return ""
	}
	var status struct{ Message string }
	if json.Unmarshal([]byte(body), &status) != nil || status.Message == "" {
		t.Fatalf("%s %s: %d %s", method, path, code, body)
	}
	return status.Message
}

func (s *apiServer) remove(t *testing.T, object map[string]any) {
	t.Helper()
	options, _ := json.Marshal(map[string]any{"propagationPolicy": "Background", "gracePeriodSeconds": 0})
	if code, body := s.do(http.MethodDelete, s.path(object, false), "application/json", options); code >= http.StatusBadRequest {
		t.Fatalf("deleting: %d %s", code, body)
	}
	for _, finalized := range []any{nil} {
		patch, _ := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": finalized}})
		s.do(http.MethodPatch, s.path(object, false), "application/merge-patch+json", patch)
	}
}
