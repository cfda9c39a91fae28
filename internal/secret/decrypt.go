package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	"github.com/getsops/sops/v3/stores/json"
	"github.com/getsops/sops/v3/stores/yaml"
)

// Identities are the private halves of age keys. They have no form to print.
type Identities struct{ parsed sopsage.ParsedIdentities }

// ParseIdentities reads texts in the form of an age key file: one
// AGE-SECRET-KEY-1... a line, lines that begin with # left out. The error says
// which line of which text is no key, and never what it holds.
func ParseIdentities(texts ...string) (*Identities, error) {
	identities := &Identities{}
	for i, text := range texts {
		for n, line := range strings.Split(text, "\n") {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			parsed, err := age.ParseIdentities(strings.NewReader(line))
			if err != nil { // it may repeat the line
				return nil, fmt.Errorf("reading age identities: line %d of text %d is no private age key (AGE-SECRET-KEY-1...)", n+1, i+1)
			}
			identities.parsed = append(identities.parsed, parsed...)
		}
	}
	return identities, nil
}

// None says whether there is nothing to decrypt with.
func (i *Identities) None() bool { return i == nil || len(i.parsed) == 0 }

// Format is how a SOPS file is written.
type Format int

// The formats. SOPS wraps what is none of the others (Binary) in JSON.
const (
	Binary Format = iota
	Dotenv
	INI
	JSON
	YAML
)

// FormatOf tells the format from a file's name, as SOPS does.
func FormatOf(name string) Format {
	for suffix, format := range map[string]Format{".yaml": YAML, ".yml": YAML, ".json": JSON, ".env": Dotenv, ".ini": INI} {
		if strings.HasSuffix(name, suffix) {
			return format
		}
	}
	return Binary
}

// Encrypted says whether data is a SOPS file of a format, by the mark that
// kustomize-controller looks for.
func Encrypted(data []byte, format Format) bool {
	mark := map[Format]string{
		Binary: `"mac": "ENC[`, JSON: `"mac": "ENC[`, Dotenv: "sops_mac=ENC[", INI: "[sops]", YAML: "mac: ENC[",
	}[format]
	return strings.Contains(string(data), mark)
}

// Sealed says whether a text is a value that SOPS has encrypted.
func Sealed(text string) bool { return strings.HasPrefix(text, "ENC[AES256_GCM,") }

// ErrNoIdentity says that none of the identities opens a file.
var ErrNoIdentity = errors.New("no age identity at hand opens it")

// maxEncrypted bounds one SOPS file in bytes, as kustomize-controller does.
const maxEncrypted = 5 << 20

// Decrypt opens a SOPS file with age identities, in memory, and writes its
// content in the format out. intact is false when the content is not what was
// encrypted, by SOPS's checksum (MAC): somebody has edited the file without
// SOPS. No error repeats a value.
func Decrypt(data []byte, in, out Format, keys *Identities) (plain []byte, intact bool, err error) {
	if len(data) > maxEncrypted {
		return nil, false, fmt.Errorf("decrypting: it has %d bytes, more than %d", len(data), maxEncrypted)
	}
	defer func() {
		if recover() != nil { // SOPS does on some malformed input; the value may be part of the panic
			plain, intact, err = nil, false, errors.New("decrypting: the SOPS file is malformed")
		}
	}()
	tree, err := storeOf(in).LoadEncryptedFile(data)
	if err != nil {
		return nil, false, errors.New("decrypting: it cannot be read as a SOPS file")
	}
	if keys.None() {
		return nil, false, fmt.Errorf("decrypting: %w", ErrNoIdentity)
	}
	dataKey, err := tree.Metadata.GetDataKeyWithKeyServices([]keyservice.KeyServiceClient{
		keyservice.NewCustomLocalClient(&ageServer{keys: keys.parsed}),
	}, nil)
	if err != nil {
		return nil, false, fmt.Errorf("decrypting: %w", ErrNoIdentity)
	}
	cipher := aes.NewCipher()
	found, err := tree.Decrypt(dataKey, cipher)
	if err != nil {
		return nil, false, errors.New("decrypting: a value was damaged after it was encrypted")
	}
	stated, err := cipher.Decrypt(tree.Metadata.MessageAuthenticationCode, dataKey, tree.Metadata.LastModified.Format(time.RFC3339))
	intact = err == nil && stated == found
	if plain, err = storeOf(out).EmitPlainFile(tree.Branches); err != nil {
		return nil, false, errors.New("decrypting: the content cannot be written in its format")
	}
	return plain, intact, nil
}

// sopsStore is what reading and writing take of SOPS's stores.
type sopsStore interface {
	LoadEncryptedFile(in []byte) (sops.Tree, error)
	EmitPlainFile(branches sops.TreeBranches) ([]byte, error)
}

func storeOf(format Format) sopsStore {
	switch format {
	case Dotenv:
		return dotenv.NewStore(&config.DotenvStoreConfig{})
	case INI:
		return ini.NewStore(&config.INIStoreConfig{})
	case JSON:
		return json.NewStore(&config.JSONStoreConfig{Indent: -1})
	case YAML:
		return yaml.NewStore(&config.YAMLStoreConfig{})
	}
	return json.NewBinaryStore(&config.JSONBinaryStoreConfig{})
}

// ageServer opens data keys with age and with nothing else: no cloud, no agent
// and no environment variable is asked.
type ageServer struct {
	keyservice.UnimplementedKeyServiceServer
	keys sopsage.ParsedIdentities
}

func (s *ageServer) Decrypt(_ context.Context, request *keyservice.DecryptRequest) (*keyservice.DecryptResponse, error) {
	wanted, ok := request.Key.KeyType.(*keyservice.Key_AgeKey)
	if !ok {
		return nil, ErrNoIdentity
	}
	key := sopsage.MasterKey{Recipient: wanted.AgeKey.Recipient, EncryptedKey: string(request.Ciphertext)}
	s.keys.ApplyToMasterKey(&key)
	plain, err := key.Decrypt()
	if err != nil {
		return nil, ErrNoIdentity
	}
	return &keyservice.DecryptResponse{Plaintext: plain}, nil
}
