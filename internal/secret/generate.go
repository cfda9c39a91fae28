package secret

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
	"sigs.k8s.io/yaml"
)

// AuthorityYears is the life of a mesh CA, which all certificates of the mesh
// share.
const AuthorityYears = 10

// SecretObject returns a Kubernetes Secret, as it is written in Git.
func SecretObject(namespace, name string, data map[string]string) map[string]any {
	values := map[string]any{}
	for key, value := range data {
		values[key] = value
	}
	return map[string]any{
		"apiVersion": "v1",
		"kind":       "Secret",
		"metadata":   map[string]any{"name": name, "namespace": namespace},
		"type":       "Opaque",
		"stringData": values,
	}
}

// SecretManifest is SecretObject in YAML.
func SecretManifest(namespace, name string, data map[string]string) ([]byte, error) {
	manifest, err := yaml.Marshal(SecretObject(namespace, name, data))
	if err != nil {
		return nil, fmt.Errorf("writing Secret %s/%s: it cannot be written as YAML", namespace, name)
	}
	return manifest, nil
}

// MeshAuthorityManifest makes the mesh CA: the Secret from which Cilium issues
// the certificates of the mesh.
func MeshAuthorityManifest(now time.Time) ([]byte, error) {
	authority, err := NewAuthority("Cilium CA", now, AuthorityYears*365*24*time.Hour)
	if err != nil {
		return nil, err
	}
	key, err := authority.Key()
	if err != nil {
		return nil, err
	}
	return SecretManifest("kube-system", "cilium-ca", map[string]string{
		"ca.crt": string(authority.Certificate()), "ca.key": string(key),
	})
}

// GitPasswordManifest is the Secret with which Flux's GitRepository reads over
// https.
func GitPasswordManifest(user, password string) ([]byte, error) {
	return SecretManifest("flux-system", "flux-system", map[string]string{"username": user, "password": password})
}

// GitKeyManifest is the Secret with which Flux's GitRepository reads over ssh.
func GitKeyManifest(identity, public, knownHosts string) ([]byte, error) {
	return SecretManifest("flux-system", "flux-system", map[string]string{
		"identity": identity, "identity.pub": public, "known_hosts": knownHosts,
	})
}

// NewDeployKey makes an ed25519 key pair for ssh: the private half as OpenSSH
// writes it, the public half as a line of authorized_keys.
func NewDeployKey(comment string) (identity, public string, err error) {
	publicKey, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("making a deploy key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return "", "", fmt.Errorf("writing a deploy key: %w", err)
	}
	line, err := ssh.NewPublicKey(publicKey)
	if err != nil {
		return "", "", fmt.Errorf("writing a deploy key: %w", err)
	}
	text := string(ssh.MarshalAuthorizedKey(line))
	return string(pem.EncodeToMemory(block)), text[:len(text)-1] + " " + comment + "\n", nil
}

// NewWireGuardKey makes a private key of WireGuard, in base64 as wg genkey.
func NewWireGuardKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, says crypto/rand
	// As wg does, so that the key is the same number to every implementation (RFC 7748, section 5).
	key[0] &= 248
	key[31] = key[31]&127 | 64
	return base64.StdEncoding.EncodeToString(key)
}

// WireGuardPublic returns the public half of a private key, as wg pubkey.
func WireGuardPublic(private string) (string, error) {
	bytes, err := base64.StdEncoding.DecodeString(private)
	if err != nil {
		return "", fmt.Errorf("a WireGuard key is 32 bytes in base64")
	}
	key, err := ecdh.X25519().NewPrivateKey(bytes)
	if err != nil {
		return "", fmt.Errorf("a WireGuard key is 32 bytes in base64")
	}
	return base64.StdEncoding.EncodeToString(key.PublicKey().Bytes()), nil
}
