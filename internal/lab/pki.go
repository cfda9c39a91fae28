package lab

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"archipel/internal/secret"

	"sigs.k8s.io/yaml"
)

// certificateValidity outlasts any lab: a lab that expires would be a puzzle.
const certificateValidity = 10 * 365 * 24 * time.Hour

// pki names the files of a site's certificates. All are made together.
type pki struct{ dir string }

func (p pki) file(name string) string { return filepath.Join(p.dir, name) }

// user is a client of a control plane: Kubernetes takes the user from the
// common name and the group from the organization of its certificate.
type user struct{ name, organization string }

// controlPlaneUsers are those of a site.
func controlPlaneUsers() []user {
	return []user{
		{"admin", "system:masters"},
		{"system:kube-controller-manager", ""},
		{"system:kube-scheduler", ""},
	}
}

// makePKI makes a site's certificates unless they are there, and says whether it did.
func makePKI(dir string, address netip.Addr, now time.Time) (p pki, made bool, err error) {
	p = pki{dir: dir}
	// The mark holds the address, because a site whose cluster id has changed has another one.
	if mark, err := os.ReadFile(p.file("complete")); err == nil && string(mark) == address.String() {
		return p, false, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return p, false, fmt.Errorf("making certificates: %w", err)
	}
	authority, err := secret.NewAuthority("archipel lab", now, certificateValidity)
	if err != nil {
		return p, false, err
	}
	files := map[string][]byte{"ca.crt": authority.Certificate()}
	issue := func(name string, leaf secret.Leaf) error {
		leaf.Validity = certificateValidity
		certificate, key, err := authority.Issue(leaf, now)
		files[name+".crt"], files[name+".key"] = certificate, key
		return err
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	errs := []error{
		issue("apiserver", secret.Leaf{
			CommonName: "kube-apiserver",
			Names:      []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"},
			Addresses:  []netip.Addr{address, loopback, netip.MustParsePrefix(serviceCIDR).Addr().Next()},
		}),
		issue("etcd", secret.Leaf{CommonName: "etcd", Addresses: []netip.Addr{address}}),
		issue("etcd-client", secret.Leaf{CommonName: "kube-apiserver-etcd-client"}),
	}
	for _, user := range controlPlaneUsers() {
		leaf := secret.Leaf{CommonName: user.name}
		if user.organization != "" {
			leaf.Organizations = []string{user.organization}
		}
		errs = append(errs, issue(user.name, leaf))
	}
	private, public, err := secret.NewKeyPair()
	files["service-account.key"], files["service-account.pub"] = private, public
	if err := errors.Join(append(errs, err)...); err != nil {
		return p, false, err
	}
	if err := os.Remove(p.file("complete")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return p, false, fmt.Errorf("making certificates: %w", err)
	}
	for name, data := range files {
		if err := writeFile(p.file(name), data); err != nil {
			return p, false, err
		}
	}
	// Last: a half-written set is made again.
	return p, true, writeFile(p.file("complete"), []byte(address.String()))
}

// kubeconfigContext is one site as a user of it.
type kubeconfigContext struct {
	name, server string
	pki          pki
	user         string
}

// kubeconfig returns a kubeconfig file with embedded credentials; the first
// context is the current one.
func kubeconfig(contexts []kubeconfigContext) ([]byte, error) {
	type named map[string]any
	var clusters, users, entries []named
	for _, c := range contexts {
		var encoded [3]string
		for i, name := range []string{"ca.crt", c.user + ".crt", c.user + ".key"} {
			data, err := os.ReadFile(c.pki.file(name))
			if err != nil {
				return nil, fmt.Errorf("writing a kubeconfig for %s: %w", c.name, err)
			}
			encoded[i] = base64.StdEncoding.EncodeToString(data)
		}
		clusters = append(clusters, named{"name": c.name, "cluster": named{
			"server": c.server, "certificate-authority-data": encoded[0],
		}})
		users = append(users, named{"name": c.name, "user": named{
			"client-certificate-data": encoded[1], "client-key-data": encoded[2],
		}})
		entries = append(entries, named{"name": c.name, "context": named{"cluster": c.name, "user": c.name}})
	}
	config := named{
		"apiVersion": "v1", "kind": "Config",
		"clusters": clusters, "users": users, "contexts": entries,
	}
	if len(contexts) > 0 {
		config["current-context"] = contexts[0].name
	}
	return yaml.Marshal(config)
}
