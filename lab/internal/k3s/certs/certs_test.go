package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

func TestIssue(t *testing.T) {
	now := time.Now()
	authority, err := NewAuthority("ca", now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.Certificate)
	parse := func(data []byte) *x509.Certificate {
		t.Helper()
		block, _ := pem.Decode(data)
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return certificate
	}
	server, err := authority.Issue(Leaf{Name: "server", Hosts: []string{"192.0.2.1", "api.example.com"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(server.Certificate, server.Key); err != nil {
		t.Error(err)
	}
	for _, host := range []string{"192.0.2.1", "api.example.com"} {
		if _, err := parse(server.Certificate).Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Error(err)
		}
	}
	// What a request says of its owner counts for nothing.
	request, key, err := Request("system:admin")
	if err != nil {
		t.Fatal(err)
	}
	node, err := authority.IssueFor(request, Leaf{Name: "system:node:a", Organizations: []string{"system:nodes"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(node, key); err != nil {
		t.Error(err)
	}
	certificate := parse(node)
	if certificate.Subject.CommonName != "system:node:a" || certificate.Subject.Organization[0] != "system:nodes" {
		t.Errorf("it is for %s", certificate.Subject)
	}
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("a client's certificate is good for a server")
	}
	for _, bad := range [][]byte{nil, []byte("x"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte("x")})} {
		if _, err := authority.IssueFor(bad, Leaf{}, now); err == nil {
			t.Errorf("%q is a request", bad)
		}
	}
}
