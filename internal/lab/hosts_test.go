package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archipel/internal/secret"
)

func TestInventoryOfHosts(t *testing.T) {
	l := &Lab{dir: "/state"}
	programs := Programs{WireGuard: "/cache/bin/wireguard-go", K3s: "/cache/k3s"}
	for name, test := range map[string]struct {
		k3s          K3s
		want, refuse string
	}{
		"the lab's k3s":    {K3s{}, "k3s_artifacts_dir: /cache/k3s\n", "k3s_artifacts_url"},
		"k3s of a folder":  {K3s{Dir: "/k3s"}, "k3s_artifacts_dir: /k3s\n", "k3s_artifacts_url"},
		"k3s of a mirror":  {K3s{URL: "https://mirror.example.org"}, "k3s_artifacts_url: https://mirror.example.org\n", "k3s_artifacts_dir"},
		"what all need":    {K3s{}, "ansible_ssh_private_key_file: /state/hosts/id_ed25519\n", "no_such"},
		"strict host keys": {K3s{}, "StrictHostKeyChecking=yes", "StrictHostKeyChecking=no"},
	} {
		data, err := l.inventory(programs, test.k3s)
		if text := string(data); err != nil || !strings.Contains(text, test.want) || strings.Contains(text, test.refuse) {
			t.Errorf("%s: got\n%s%v", name, data, err)
		}
	}
}

func TestSSHKeyIsMadeOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "id")
	first, err := makeSSHKey(name)
	if err != nil {
		t.Fatal(err)
	}
	second, err := makeSSHKey(name)
	if err != nil || string(first.Marshal()) != string(second.Marshal()) {
		t.Errorf("the second call gives another key, or %v", err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is %v, %v", info.Mode(), err)
	}
}

// The copy follows the working tree, and keeps secrets of its own.
func TestCopyOfTheTree(t *testing.T) {
	l, f := newLab(t), testFleet("site-a")
	for name, text := range map[string]string{
		"README": "first", "gone": "x", secret.RulesFile: "theirs", secret.PublicFile("site-a"): "theirs",
	} {
		write(t, l.config.Repository, name, text)
	}
	for range 2 {
		if err := l.copyTree(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(l.copyDir(), name))
		if err != nil {
			return "none"
		}
		return string(data)
	}
	if read("README") != "first" || read(".sops.yaml") != "none" || read(secret.PublicFile("site-a")) != "none" {
		t.Fatalf("the copy is not the tree without its secrets")
	}
	write(t, l.copyDir(), secret.AnsibleFile("site-a"), "ours")
	write(t, l.config.Repository, "README", "second")
	if err := os.Remove(filepath.Join(l.config.Repository, "gone")); err != nil {
		t.Fatal(err)
	}
	if err := l.copyTree(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if read("README") != "second" || read("gone") != "none" || read(secret.AnsibleFile("site-a")) != "ours" {
		t.Errorf("the copy did not follow: README %q, gone %q, own %q", read("README"), read("gone"), read(secret.AnsibleFile("site-a")))
	}
}
