package secret_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"testing"
	"time"

	"archipel/internal/secret"

	"filippo.io/age"
	"github.com/getsops/sops/v3/decrypt"
)

const manifest = `apiVersion: v1
kind: Secret
metadata:
  name: canary
stringData:
  password: canary-value
`

func TestEncryptManifestOpensWithSOPS(t *testing.T) {
	identity, recipient, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := secret.EncryptManifest([]byte(manifest), recipient)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(encrypted, []byte("canary-value")) {
		t.Fatal("the value stands in the encrypted file")
	}
	if !bytes.Contains(encrypted, []byte("name: canary\n")) {
		t.Fatalf("metadata must stay readable:\n%s", encrypted)
	}
	t.Setenv("SOPS_AGE_KEY", identity)
	plain, err := decrypt.Data(encrypted, "yaml")
	if err != nil {
		t.Fatalf("SOPS does not open it: %v", err)
	}
	if !bytes.Contains(plain, []byte("password: canary-value")) {
		t.Fatalf("got\n%s", plain)
	}

	other, _, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOPS_AGE_KEY", other)
	if _, err := decrypt.Data(encrypted, "yaml"); err == nil {
		t.Fatal("another identity opens it")
	}
	t.Setenv("SOPS_AGE_KEY", identity)
	tampered := bytes.Replace(encrypted, []byte("name: canary"), []byte("name: forged"), 1)
	if _, err := decrypt.Data(tampered, "yaml"); err == nil {
		t.Fatal("an edited file passes the checksum")
	}
}

func TestEncryptManifestRefuses(t *testing.T) {
	_, recipient, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		manifest   string
		recipients []string
	}{
		"no recipient":      {manifest, nil},
		"unknown recipient": {manifest, []string{"age1nobody"}},
		"not YAML":          {"password: [canary-value", []string{recipient}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := secret.EncryptManifest([]byte(test.manifest), test.recipients...)
			if err == nil {
				t.Fatal("no error")
			}
			if bytes.Contains([]byte(err.Error()), []byte("canary-value")) {
				t.Fatalf("the error repeats the value: %v", err)
			}
		})
	}
}

func TestRecipientOf(t *testing.T) {
	pair, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := secret.RecipientOf(pair.String()); err != nil || got != pair.Recipient().String() {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := secret.RecipientOf("AGE-SECRET-KEY-1NO"); err == nil {
		t.Fatal("accepted a broken identity")
	}
}

func TestAuthorityIssuesWhatTLSAccepts(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	authority, err := secret.NewAuthority("test", now, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := authority.Issue(secret.Leaf{
		CommonName:    "server",
		Organizations: []string{"system:masters"},
		Addresses:     []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		Validity:      time.Hour,
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(key); block == nil || block.Type != "PRIVATE KEY" {
		t.Fatal("no PKCS #8 key")
	}
	block, _ := pem.Decode(certificate)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.Certificate())
	for _, test := range []struct {
		at   time.Time
		name string
		ok   bool
	}{
		{now, "127.0.0.1", true},
		{now, "127.0.0.2", false},
		{now.Add(2 * time.Hour), "127.0.0.1", false},
	} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: test.name, CurrentTime: test.at})
		if (err == nil) != test.ok {
			t.Errorf("%s at %s: %v", test.name, test.at, err)
		}
	}
}
