// Package certs makes the certificate authorities and the certificates of a cluster.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Validities as k3s has them.
const (
	authorityValidity = 10 * 365 * 24 * time.Hour
	leafValidity      = 365 * 24 * time.Hour
)

// Pair is a certificate and its key, in PEM.
type Pair struct{ Certificate, Key []byte }

// NewAuthority makes a certificate authority.
func NewAuthority(name string, now time.Time) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(authorityValidity),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		IsCA:     true, BasicConstraintsValid: true,
	}
	return sign(template, template, &key.PublicKey, key, key)
}

// Leaf is what a certificate is for.
type Leaf struct {
	Name          string // the user's, where it is a client's
	Organizations []string
	Hosts         []string // names and addresses of a server
}

// Issue makes a certificate that is good for a server and for a client.
func (p Pair) Issue(leaf Leaf, now time.Time) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	return p.issue(leaf, &key.PublicKey, key, now)
}

// IssueFor makes a certificate for the key of a certificate request. Whose it
// is the caller decides: what the request says of it counts for nothing.
func (p Pair) IssueFor(request []byte, leaf Leaf, now time.Time) ([]byte, error) {
	block, _ := pem.Decode(request)
	if block == nil {
		return nil, errors.New("reading a certificate request: it is not PEM")
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = parsed.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("reading a certificate request: %w", err)
	}
	pair, err := p.issue(leaf, parsed.PublicKey, nil, now)
	return pair.Certificate, err
}

// Request makes a key and a certificate request.
func Request(name string) (request, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, private)
	if err != nil {
		return nil, nil, err
	}
	key, err = encodeKey(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), key, err
}

// NewKey makes a key with which service account tokens are signed.
func NewKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return encodeKey(key)
}

func (p Pair) issue(leaf Leaf, public crypto.PublicKey, key *ecdsa.PrivateKey, now time.Time) (Pair, error) {
	parent, signer, err := p.parse()
	if err != nil {
		return Pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: leaf.Name, Organization: leaf.Organizations},
		NotBefore:    now.Add(-time.Minute), NotAfter: now.Add(leafValidity),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(leaf.Hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range leaf.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return sign(template, parent, public, signer, key)
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer, key *ecdsa.PrivateKey) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return Pair{}, fmt.Errorf("making the certificate of %s: %w", template.Subject.CommonName, err)
	}
	pair := Pair{Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	if key != nil {
		pair.Key, err = encodeKey(key)
	}
	return pair, err
}

func (p Pair) parse() (*x509.Certificate, crypto.Signer, error) {
	certificate, _ := pem.Decode(p.Certificate)
	key, _ := pem.Decode(p.Key)
	if certificate == nil || key == nil {
		return nil, nil, errors.New("reading a certificate authority: it is not PEM")
	}
	parsed, err := x509.ParseCertificate(certificate.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("reading a certificate authority: %w", err)
	}
	private, err := x509.ParseECPrivateKey(key.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the key of %s: %w", parsed.Subject.CommonName, err)
	}
	return parsed, private, nil
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // the reader never fails
	}
	return n
}
