package secret

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"time"
)

// Entry is one encrypted file.
type Entry struct {
	File     string          `json:"file"` // slash-separated, from the repository's root
	Site     string          `json:"site,omitempty"`
	Values   []string        `json:"values"` // places of what is encrypted, never the values
	Readers  []RecipientName `json:"readers"`
	Modified time.Time       `json:"modified,omitzero"`
	Expires  time.Time       `json:"expires,omitzero"` // of the certificate that expires first
	Opens    bool            `json:"opens"`            // with an identity of the user
	Problem  string          `json:"problem,omitempty"`

	err  error
	file *File
}

// List says what encrypted files there are and who can read them. Nothing but
// certificates is looked at in those that open.
func List(s *Store, keys *Identities) ([]Entry, *Rules, error) {
	rules, err := LoadRules(s)
	if err != nil {
		return nil, nil, err
	}
	files, err := s.Files()
	if err != nil {
		return nil, nil, err
	}
	entries := []Entry{}
	for _, name := range files {
		entries = append(entries, inspect(s, rules, keys, name))
	}
	return entries, rules, nil
}

func inspect(s *Store, rules *Rules, keys *Identities, name string) Entry {
	entry := Entry{File: name, Site: SiteOf(name), Values: []string{}, Readers: []RecipientName{}}
	data, err := s.Read(name)
	if err == nil {
		entry.file, err = ParseFile(name, data)
	}
	if err == nil {
		for _, recipient := range entry.file.Recipients() {
			entry.Readers = append(entry.Readers, rules.Name(recipient))
		}
		entry.Values = append(entry.Values, entry.file.Names()...)
		entry.Modified = entry.file.Modified()
		err = entry.file.Open(keys)
	}
	if err == nil {
		entry.Opens = true
		for _, certificate := range certificates(entry.file) {
			if entry.Expires.IsZero() || certificate.NotAfter.Before(entry.Expires) {
				entry.Expires = certificate.NotAfter
			}
		}
	}
	entry.err = err
	if err != nil && !errors.Is(err, ErrNoIdentity) {
		entry.Problem = strings.TrimPrefix(err.Error(), name+": ")
	}
	return entry
}

// certificates returns the certificates in an opened file.
func certificates(f *File) []*x509.Certificate {
	var found []*x509.Certificate
	for _, name := range f.Names() {
		text, err := f.Get(strings.Split(name, "/"))
		if err != nil {
			continue
		}
		if decoded, err := base64.StdEncoding.DecodeString(text); err == nil && strings.HasPrefix(name, "data/") {
			text = string(decoded)
		}
		for rest := []byte(text); ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if certificate, err := x509.ParseCertificate(block.Bytes); block.Type == "CERTIFICATE" && err == nil {
				found = append(found, certificate)
			}
		}
	}
	return found
}

// sameSet says whether two lists hold the same texts.
func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}
