package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

// Keyring is the age identities of the user, from where SOPS takes them.
type Keyring struct {
	*Identities
	Sources []KeySource
	Default string // the file that SOPS reads when no variable says otherwise; "" without a home folder
}

// KeySource is one place with identities.
type KeySource struct {
	Place      string      // a variable, or a path
	Recipients []string    // the public halves
	Mode       fs.FileMode // of a file
	File       bool
}

// Where SOPS looks for age identities (getsops/sops, age/keysource.go).
const (
	KeyVariable        = "SOPS_AGE_KEY"      // the identities themselves
	KeyFileVariable    = "SOPS_AGE_KEY_FILE" // a file of them
	KeyCommandVariable = "SOPS_AGE_KEY_CMD"  // a command that prints them: not run by archipel
)

// LoadKeyring reads the user's identities: $SOPS_AGE_KEY, the file that
// $SOPS_AGE_KEY_FILE names, and sops/age/keys.txt in the folder of settings.
// None at all is no error. No error repeats what was read.
func LoadKeyring(getenv func(string) string) (*Keyring, error) {
	keyring := &Keyring{Identities: &Identities{}}
	if home := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(home) {
		keyring.Default = filepath.Join(home, "sops", "age", "keys.txt")
	} else if home := getenv("HOME"); home != "" {
		keyring.Default = filepath.Join(home, ".config", "sops", "age", "keys.txt")
	}
	if text := getenv(KeyVariable); text != "" {
		// SOPS takes several on one line.
		if err := keyring.add(KeySource{Place: "$" + KeyVariable}, strings.Join(strings.Fields(text), "\n")); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Compact([]string{getenv(KeyFileVariable), keyring.Default}) {
		if name == "" {
			continue
		}
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // secret init makes it
		}
		if err != nil {
			return nil, fmt.Errorf("reading the age identities in %s: %w", name, cause(err))
		}
		source := KeySource{Place: name, File: true}
		if info, err := os.Stat(name); err == nil {
			source.Mode = info.Mode().Perm()
		}
		if err := keyring.add(source, string(data)); err != nil {
			return nil, err
		}
	}
	return keyring, nil
}

func (k *Keyring) add(source KeySource, text string) error {
	identities, err := ParseIdentities(text)
	if err != nil {
		return fmt.Errorf("%s: %w", source.Place, err)
	}
	source.Recipients = identities.Recipients()
	k.Sources = append(k.Sources, source)
	k.parsed = append(k.parsed, identities.parsed...)
	return nil
}

// Recipients returns the public halves.
func (i *Identities) Recipients() []string {
	var recipients []string
	if i == nil {
		return nil
	}
	for _, identity := range i.parsed {
		switch identity := identity.(type) {
		case *age.X25519Identity:
			recipients = append(recipients, identity.Recipient().String())
		case *age.HybridIdentity:
			recipients = append(recipients, identity.Recipient().String())
		}
	}
	return recipients
}

// Opens says whether one of the identities is one of the recipients.
func (i *Identities) Opens(recipients []string) bool {
	return slices.ContainsFunc(i.Recipients(), func(own string) bool { return slices.Contains(recipients, own) })
}

// MakeIdentityFile makes an age identity in a file that only its owner reads, in
// the form of age-keygen. It never replaces a file.
func MakeIdentityFile(name string, now time.Time) (recipient string, err error) {
	identity, recipient, err := NewIdentity()
	if err != nil {
		return "", err
	}
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("making the age identity %s: %w", name, cause(err))
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fail(err)
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fail(err)
	}
	_, err = fmt.Fprintf(file, "# created: %s\n# public key: %s\n%s\n", now.UTC().Format(time.RFC3339), recipient, identity)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		_ = os.Remove(name)
		return fail(err)
	}
	return recipient, nil
}
