package server

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"archipel/lab/internal/k3s/certs"
	"archipel/lab/internal/k3s/datastore"

	"sigs.k8s.io/yaml"
)

// layout names the files of a server as k3s does.
type layout struct{ data string }

func (l layout) file(elem ...string) string {
	return filepath.Join(append([]string{l.data, "server"}, elem...)...)
}
func (l layout) tls(name string) string        { return l.file("tls", name) }
func (l layout) kubeconfig(user string) string { return l.file("cred", user+".kubeconfig") }
func (l layout) etcd() string                  { return l.file("db", "etcd") }
func (l layout) resetFlag() string             { return l.file("db", "reset-flag") }
func (l layout) encryption() string            { return l.file("cred", "encryption-config.json") }

func (l layout) etcdIdentity() datastore.Identity {
	return datastore.Identity{CA: l.tls("etcd/server-ca.crt"), Certificate: l.tls("etcd/client.crt"), Key: l.tls("etcd/client.key")}
}

// hasDatabase says whether this server is a member of an etcd already.
func (l layout) hasDatabase() bool {
	_, err := os.Stat(filepath.Join(l.etcd(), "member"))
	return err == nil
}

// authorities are the CAs of a cluster: files below tls and the names in them.
func authorities() map[string]string {
	return map[string]string{
		"server-ca": "k3s-server-ca", "client-ca": "k3s-client-ca", "request-header-ca": "k3s-request-header-ca",
		"etcd/server-ca": "etcd-server-ca", "etcd/peer-ca": "etcd-peer-ca",
	}
}

const serviceKey = "service.key"

// bootstrapNames are the files below server/ that all servers share.
func bootstrapNames() []string {
	names := []string{"tls/" + serviceKey, "cred/encryption-config.json"}
	for name := range authorities() {
		names = append(names, "tls/"+name+".crt", "tls/"+name+".key")
	}
	slices.Sort(names)
	return names
}

// makeBootstrap makes what is missing of the cluster's secrets.
func (l layout) makeBootstrap(encrypt bool, provider string, now time.Time) error {
	for name, common := range authorities() {
		if l.exists("tls", name+".crt") && l.exists("tls", name+".key") {
			continue
		}
		pair, err := certs.NewAuthority(fmt.Sprintf("%s@%d", common, now.Unix()), now)
		if err != nil {
			return err
		}
		if err := l.writePair(name, pair); err != nil {
			return err
		}
	}
	if !l.exists("tls", serviceKey) {
		key, err := certs.NewKey()
		if err != nil {
			return err
		}
		if err := writeFile(l.tls(serviceKey), key, 0o600); err != nil {
			return err
		}
	}
	if !encrypt || l.exists("cred", "encryption-config.json") {
		return nil
	}
	data, err := encryptionConfig(provider)
	if err != nil {
		return err
	}
	return writeFile(l.encryption(), data, 0o600)
}

// encryptionConfig makes the configuration with which kube-apiserver encrypts Secrets.
func encryptionConfig(provider string) ([]byte, error) {
	if provider != "aescbc" && provider != "secretbox" {
		return nil, fmt.Errorf("secrets-encryption-provider %q is neither aescbc nor secretbox", provider)
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // it never fails
	key := base64.StdEncoding.EncodeToString(secret[:])
	return json.Marshal(map[string]any{
		"kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1",
		"resources": []any{map[string]any{
			"resources": []string{"secrets"},
			"providers": []any{
				map[string]any{provider: map[string]any{"keys": []any{map[string]any{"name": provider + "key", "secret": key}}}},
				map[string]any{"identity": map[string]any{}},
			},
		}},
	})
}

// readBootstrap returns the cluster's secrets on this disk.
func (l layout) readBootstrap() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range bootstrapNames() {
		data, err := os.ReadFile(l.file(name))
		if errors.Is(err, fs.ErrNotExist) && name == "cred/encryption-config.json" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the cluster's secrets: %w", err)
		}
		files[name] = data
	}
	return files, nil
}

// writeBootstrap puts the cluster's secrets on this disk.
func (l layout) writeBootstrap(files map[string][]byte) error {
	for name, data := range files {
		if !slices.Contains(bootstrapNames(), name) {
			return fmt.Errorf("the cluster's secrets hold an unknown file %q", name)
		}
		if err := writeFile(l.file(name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// leaf is a certificate that this server makes for itself at each start.
type leaf struct {
	name, authority string
	certs.Leaf
}

func leaves(hosts []string, user string) []leaf {
	masters := []string{"system:masters"}
	local := []string{"localhost", "127.0.0.1"}
	return []leaf{
		{"serving-kube-apiserver", "server-ca", certs.Leaf{Name: "kube-apiserver", Hosts: hosts}},
		{"client-admin", "client-ca", certs.Leaf{Name: "system:admin", Organizations: masters}},
		{"client-supervisor", "client-ca", certs.Leaf{Name: "system:k3s-supervisor", Organizations: masters}},
		{"client-controller", "client-ca", certs.Leaf{Name: "system:kube-controller-manager"}},
		{"client-scheduler", "client-ca", certs.Leaf{Name: "system:kube-scheduler"}},
		{"client-kube-apiserver", "client-ca", certs.Leaf{Name: "system:apiserver", Organizations: masters}},
		{"client-kubelet", "client-ca", certs.Leaf{Name: user, Organizations: []string{"system:nodes"}}},
		{"client-auth-proxy", "request-header-ca", certs.Leaf{Name: "system:auth-proxy"}},
		{"etcd/server-client", "etcd/server-ca", certs.Leaf{Name: "etcd-server", Hosts: append(local, hosts...)}},
		{"etcd/client", "etcd/server-ca", certs.Leaf{Name: "etcd-client"}},
		{"etcd/peer-server-client", "etcd/peer-ca", certs.Leaf{Name: "etcd-peer", Hosts: append(local, hosts...)}},
	}
}

// makeLeaves makes the certificates of this server and the kubeconfigs that hold them.
func (l layout) makeLeaves(hosts []string, nodeName string, now time.Time) error {
	for _, leaf := range leaves(hosts, "system:node:"+nodeName) {
		authority, err := l.readPair(leaf.authority)
		if err != nil {
			return err
		}
		pair, err := authority.Issue(leaf.Leaf, now)
		if err != nil {
			return err
		}
		if err := l.writePair(leaf.name, pair); err != nil {
			return err
		}
	}
	for user, name := range map[string]string{
		"admin": "client-admin", "supervisor": "client-supervisor", "controller": "client-controller",
		"scheduler": "client-scheduler", "kubelet": "client-kubelet",
	} {
		data, err := l.makeKubeconfig(name, "https://127.0.0.1:6443")
		if err != nil {
			return err
		}
		if err := writeFile(l.kubeconfig(user), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (l layout) makeKubeconfig(client, server string) ([]byte, error) {
	pair, err := l.readPair(client)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(l.tls("server-ca.crt"))
	if err != nil {
		return nil, err
	}
	return Kubeconfig(server, ca, pair)
}

// Kubeconfig returns a kubeconfig as k3s writes it.
func Kubeconfig(server string, ca []byte, pair certs.Pair) ([]byte, error) {
	const name = "default"
	encode := base64.StdEncoding.EncodeToString
	return yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": name,
		"clusters": []any{map[string]any{"name": name, "cluster": map[string]any{
			"server": server, "certificate-authority-data": encode(ca),
		}}},
		"contexts": []any{map[string]any{"name": name, "context": map[string]any{"cluster": name, "user": name}}},
		"users": []any{map[string]any{"name": name, "user": map[string]any{
			"client-certificate-data": encode(pair.Certificate), "client-key-data": encode(pair.Key),
		}}},
	})
}

// writeAdmin writes the kubeconfig of the administrator.
func (l layout) writeAdmin(file, mode string) error {
	bits, err := strconv.ParseUint(mode, 8, 32)
	if err != nil || bits > 0o777 {
		return fmt.Errorf("write-kubeconfig-mode %q is not a file mode; quote it: \"0600\"", mode)
	}
	data, err := l.makeKubeconfig("client-admin", "https://127.0.0.1:6443")
	if err != nil {
		return err
	}
	return writeFile(file, data, fs.FileMode(bits))
}

func (l layout) exists(elem ...string) bool {
	_, err := os.Stat(l.file(elem...))
	return err == nil
}

func (l layout) readPair(name string) (certs.Pair, error) {
	certificate, err := os.ReadFile(l.tls(name + ".crt"))
	if err != nil {
		return certs.Pair{}, err
	}
	key, err := os.ReadFile(l.tls(name + ".key"))
	return certs.Pair{Certificate: certificate, Key: key}, err
}

func (l layout) writePair(name string, pair certs.Pair) error {
	if err := writeFile(l.tls(name+".key"), pair.Key, 0o600); err != nil {
		return err
	}
	return writeFile(l.tls(name+".crt"), pair.Certificate, 0o644)
}

// writeFile replaces a file as a whole: a power cut must not leave half a key.
func writeFile(name string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	part := name + ".part"
	if err := os.WriteFile(part, data, mode); err != nil {
		return err
	}
	if err := os.Chmod(part, mode); err != nil {
		return err
	}
	return os.Rename(part, name)
}

// sameFiles compares the shared files of two servers.
func sameFiles(a, b map[string][]byte) bool {
	return maps.EqualFunc(a, b, func(x, y []byte) bool { return string(x) == string(y) })
}
