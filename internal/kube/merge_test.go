package kube_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archipel/internal/kube"
	"archipel/internal/kube/kubetest"
)

// The administrator's kubeconfig of a server names an address of that server alone:
// from elsewhere another one leads to it, and its certificate is still verified.
func TestContentAndServer(t *testing.T) {
	server := kubetest.Start(t)
	content, err := os.ReadFile(server.Kubeconfig(t, "default"))
	if err != nil {
		t.Fatal(err)
	}
	at := ""
	for line := range strings.Lines(string(content)) {
		if _, text, ok := strings.Cut(line, "server: "); ok {
			at = strings.TrimSpace(text)
		}
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	moved := []byte(strings.ReplaceAll(string(content), at, "https://192.0.2.1:1"))
	for name, test := range map[string]struct {
		serverName string
		wrong      string
	}{
		"as the certificate says": {u.Hostname(), ""},
		"another name":            {"192.0.2.99", "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			config := kube.Config{Content: moved, Server: at, ServerName: test.serverName}
			cluster, err := kube.Open(config)
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			_, err = cluster.Version(t.Context())
			if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("got %v", err)
			}
			file := filepath.Join(t.TempDir(), "folder", "config")
			if err := kube.Merge(file, "site-a", config); err != nil {
				t.Fatal(err)
			}
			if err := kube.Merge(file, "site-b", config); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("got %v, %v", info.Mode(), err)
			}
			merged, err := kube.Open(kube.Config{Paths: []string{file}, Context: "site-b"})
			if err != nil {
				t.Fatal(err)
			}
			defer merged.Close()
			if _, err := merged.Version(t.Context()); (err == nil) != (test.wrong == "") {
				t.Errorf("got %v", err)
			}
			if contexts, err := kube.Contexts(kube.Config{Paths: []string{file}}); err != nil || strings.Join(contexts, " ") != "site-a site-b" {
				t.Errorf("got %v, %v", contexts, err)
			}
		})
	}
	if _, err := kube.Open(kube.Config{Content: []byte("secret: [")}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
