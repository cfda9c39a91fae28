// Package secret makes and encrypts what a fleet must keep to itself; it never
// prints a value.
package secret

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keys"
)

// ManifestFields matches the fields of a Kubernetes Secret that SOPS encrypts.
// The rest stays readable: kustomize-controller does not read encrypted metadata.
const ManifestFields = "^(data|stringData)$"

// NewIdentity makes an age X25519 key pair. The identity is the private half.
func NewIdentity() (identity, recipient string, err error) {
	pair, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", fmt.Errorf("making an age identity: %w", err)
	}
	return pair.String(), pair.Recipient().String(), nil
}

// RecipientOf returns the public half of an age X25519 identity.
func RecipientOf(identity string) (string, error) {
	pair, err := age.ParseX25519Identity(identity)
	if err != nil {
		return "", fmt.Errorf("reading an age identity: %w", err) // age's error does not repeat the key
	}
	return pair.Recipient().String(), nil
}

// NewToken returns 32 random bytes in hexadecimal.
func NewToken() string {
	token := make([]byte, 32)
	_, _ = rand.Read(token) // never fails, says crypto/rand
	return hex.EncodeToString(token)
}

// EncryptManifest returns a Kubernetes manifest (one YAML document) as a SOPS
// file that any of the age recipients opens.
func EncryptManifest(manifest []byte, recipients ...string) ([]byte, error) {
	file := &File{Name: "encrypting a manifest", format: YAML, opened: true}
	if err := file.SetPlain(manifest); err != nil {
		return nil, err
	}
	if len(file.tree.Branches) != 1 {
		return nil, fmt.Errorf("encrypting a manifest: it must be one YAML document")
	}
	var group sops.KeyGroup
	for i, recipient := range recipients {
		key, err := sopsage.MasterKeyFromRecipient(recipient)
		if err != nil { // it quotes what it read, which may be an identity given by mistake
			return nil, fmt.Errorf("encrypting a manifest: recipient %d is not the public half of an age identity, which begins with age1", i+1)
		}
		group = append(group, keys.MasterKey(key))
	}
	if len(group) == 0 {
		return nil, fmt.Errorf("encrypting a manifest: no recipient")
	}
	file.tree.Metadata = sops.Metadata{KeyGroups: []sops.KeyGroup{group}, EncryptedRegex: ManifestFields}
	if err := file.NewDataKey(); err != nil {
		return nil, err
	}
	return file.Seal()
}
