package secret

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keyservice"
)

// sopsFile is a text of a format as SOPS encrypts it for a recipient.
func sopsFile(t *testing.T, format Format, text, recipient string) []byte {
	t.Helper()
	store := storeOf(format).(interface {
		LoadPlainFile(in []byte) (sops.TreeBranches, error)
		EmitEncryptedFile(tree sops.Tree) ([]byte, error)
	})
	branches, err := store.LoadPlainFile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	key, err := sopsage.MasterKeyFromRecipient(recipient)
	if err != nil {
		t.Fatal(err)
	}
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{KeyGroups: []sops.KeyGroup{{key}}, UnencryptedSuffix: "_unencrypted", Version: "3.9.0"}}
	dataKey, errs := tree.GenerateDataKeyWithKeyServices([]keyservice.KeyServiceClient{keyservice.NewLocalClient()})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	cipher := aes.NewCipher()
	mac, err := tree.Encrypt(dataKey, cipher)
	if err != nil {
		t.Fatal(err)
	}
	tree.Metadata.LastModified = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if tree.Metadata.MessageAuthenticationCode, err = cipher.Encrypt(mac, dataKey, tree.Metadata.LastModified.Format(time.RFC3339)); err != nil {
		t.Fatal(err)
	}
	data, err := store.EmitEncryptedFile(tree)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func keysFor(t *testing.T) (keys *Identities, recipient string) {
	t.Helper()
	identity, recipient, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if keys, err = ParseIdentities("# a comment\n\n" + identity + "\n"); err != nil {
		t.Fatal(err)
	}
	return keys, recipient
}

func TestDecrypt(t *testing.T) {
	keys, recipient := keysFor(t)
	others, _ := keysFor(t)
	for name, test := range map[string]struct {
		file, text, want string
	}{
		"YAML":   {"a.yaml", "a: canary\nb_unencrypted: open\n", "canary"},
		"JSON":   {"a.json", `{"a": "canary"}`, "canary"},
		"dotenv": {"a.env", "A=canary\nB=c\n", "A=canary"},
		"INI":    {"a.ini", "[section]\na = canary\n", "canary"},
		"binary": {"a.key", "canary\x00\xff", "canary\x00\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			format := FormatOf(test.file)
			data := sopsFile(t, format, test.text, recipient)
			if strings.Contains(string(data), "canary") || !Encrypted(data, format) {
				t.Fatalf("it is not encrypted: %s", data)
			}
			if Encrypted([]byte(test.text), format) {
				t.Error("the plain text counts as encrypted")
			}
			plain, intact, err := Decrypt(data, format, format, keys)
			if err != nil || !intact || !strings.Contains(string(plain), test.want) || strings.Contains(string(plain), "sops") {
				t.Errorf("got %q, intact %v, %v", plain, intact, err)
			}
			for _, without := range []*Identities{nil, {}, others} {
				if plain, _, err := Decrypt(data, format, format, without); !errors.Is(err, ErrNoIdentity) || plain != nil {
					t.Errorf("another identity: %q, %v", plain, err)
				}
			}
		})
	}
}

func TestDecryptAltered(t *testing.T) {
	keys, recipient := keysFor(t)
	data := string(sopsFile(t, YAML, "a: canary\nb_unencrypted: open\n", recipient))
	edited := strings.Replace(data, "open", "changed", 1)
	if plain, intact, err := Decrypt([]byte(edited), YAML, YAML, keys); err != nil || intact || !strings.Contains(string(plain), "changed") {
		t.Errorf("an edited file: intact %v, %v", intact, err)
	}
	at := strings.Index(data, "ENC[AES256_GCM,data:") + len("ENC[AES256_GCM,data:")
	damaged := data[:at] + "AAAA" + data[at+4:]
	if plain, _, err := Decrypt([]byte(damaged), YAML, YAML, keys); err == nil || plain != nil {
		t.Errorf("a damaged value: %q", plain)
	}
	for _, broken := range []string{"", "a: b\n", "sops: 1\n", "sops: {mac: ENC[}", "sops: {age: [{recipient: x, enc: y}], mac: 'ENC[]'}\n", "[", strings.Repeat("a: b\n", maxEncrypted)} {
		if plain, _, err := Decrypt([]byte(broken), YAML, YAML, keys); err == nil || plain != nil {
			t.Errorf("%.20q is no SOPS file, and gives %q", broken, plain)
		}
	}
}

func TestParseIdentitiesTellsNothing(t *testing.T) {
	identity, _, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	wrong := identity[:len(identity)-1] // too short, whatever its characters are
	if _, err := ParseIdentities("", "# x\n"+wrong); err == nil || strings.Contains(err.Error(), wrong[20:30]) || !strings.Contains(err.Error(), "line 2 of text 2") {
		t.Errorf("got %v", err)
	}
}
