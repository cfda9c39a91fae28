// Package join is what a node asks of the supervisor of a server in order to join its cluster.
package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"archipel/lab/internal/k3s/token"
)

// Port is the supervisor's.
const Port = "9345"

// Paths that the supervisor answers.
const (
	PathCA        = "/cacerts"
	PathConfig    = "/v1-k3s/config"
	PathServers   = "/v1-k3s/servers"
	PathNode      = "/v1-k3s/client-kubelet.crt"
	PathBootstrap = "/v1-k3s/server-bootstrap"
	PathMember    = "/v1-k3s/etcd/join"
	PathPromote   = "/v1-k3s/etcd/promote"
)

// Config is what a server tells of its cluster.
type Config struct {
	Version     string            `json:"version"`
	ClusterCIDR string            `json:"clusterCIDR"`
	Critical    map[string]string `json:"critical"` // options that all servers share
}

// NodeRequest asks for the certificate of a node.
type NodeRequest struct {
	Name     string `json:"name"`
	Password string `json:"password"` // of the node
	Request  []byte `json:"request"`  // for a certificate
}

// Member asks for a place in etcd.
type Member struct {
	Name string `json:"name"`
	Peer string `json:"peer,omitempty"`
}

// Joined answers a Member.
type Joined struct {
	Cluster string `json:"cluster"` // for etcd's --initial-cluster
}

// ErrNotAuthorized says that the server does not take the token.
var ErrNotAuthorized = errors.New("not authorized: the token is not the cluster's")

// ErrPassword says that another host has registered the node.
var ErrPassword = errors.New("node password rejected: duplicate hostname, or the contents of /etc/rancher/node/password " +
	"do not match the server's node-passwd entry; give each host a name of its own, or delete the node of the host that is gone")

// Client speaks to one supervisor.
type Client struct {
	base, user, password string
	http                 *http.Client
	ca                   []byte
}

// Supervisor returns the URL of the supervisor that belongs to the URL of a server.
func Supervisor(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
		return "", fmt.Errorf("the server %q is not a URL like https://192.0.2.11:6443", server)
	}
	// k3s has its supervisor and kube-apiserver on one port; here each has its own.
	return "https://" + net.JoinHostPort(u.Hostname(), Port), nil
}

// Connect gets the CA of a server, compares it with the token, and asks whether
// the server takes the token.
func Connect(ctx context.Context, server, text, user string) (*Client, error) {
	base, err := Supervisor(server)
	if err != nil {
		return nil, err
	}
	t, err := token.Parse(text)
	if err != nil {
		return nil, err
	}
	if t.User != "" && t.User != token.ServerUser {
		user = t.User
	}
	c := &Client{base: base, user: user, password: t.Password}
	// The CA is not known yet: the hash in the token decides whether it is the right one.
	c.http = newHTTP(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // what it gets is compared with the hash below
	if c.ca, err = c.do(ctx, http.MethodGet, PathCA, nil); err != nil {
		return nil, fmt.Errorf("failed to get CA certs: %w", err)
	}
	if got := token.HashCA(c.ca); t.CAHash != "" && got != t.CAHash {
		return nil, fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", t.CAHash, got)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(c.ca) {
		return nil, fmt.Errorf("%s%s holds no certificate", base, PathCA)
	}
	c.http = newHTTP(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if _, err := c.Config(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

func newHTTP(config *tls.Config) *http.Client {
	return &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{TLSClientConfig: config, TLSHandshakeTimeout: 5 * time.Second, DisableKeepAlives: true},
	}
}

// CA is the authority of the cluster's servers.
func (c *Client) CA() []byte { return c.ca }

// Config returns what the server tells of its cluster.
func (c *Client) Config(ctx context.Context) (Config, error) {
	var config Config
	err := c.ask(ctx, http.MethodGet, PathConfig, nil, &config)
	return config, err
}

// Servers returns the addresses of the API servers, as host:port.
func (c *Client) Servers(ctx context.Context) ([]string, error) {
	var servers []string
	err := c.ask(ctx, http.MethodGet, PathServers, nil, &servers)
	return servers, err
}

// Node returns a certificate for a node.
func (c *Client) Node(ctx context.Context, request NodeRequest) ([]byte, error) {
	var certificate []byte
	err := c.ask(ctx, http.MethodPost, PathNode, request, &certificate)
	return certificate, err
}

// Bootstrap returns the cluster's secrets, by the names of their files.
func (c *Client) Bootstrap(ctx context.Context) (map[string][]byte, error) {
	var files map[string][]byte
	err := c.ask(ctx, http.MethodGet, PathBootstrap, nil, &files)
	return files, err
}

// Join asks for a place in etcd.
func (c *Client) Join(ctx context.Context, member Member) (Joined, error) {
	var joined Joined
	err := c.ask(ctx, http.MethodPost, PathMember, member, &joined)
	return joined, err
}

// Promote asks to become a voter of etcd.
func (c *Client) Promote(ctx context.Context, member Member) error {
	return c.ask(ctx, http.MethodPost, PathPromote, member, nil)
}

func (c *Client) ask(ctx context.Context, method, path string, question, answer any) error {
	var body []byte
	if question != nil {
		var err error
		if body, err = json.Marshal(question); err != nil {
			return err
		}
	}
	data, err := c.do(ctx, method, path, body)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(data, answer)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if path != PathCA {
		request.SetBasicAuth(c.user, c.password)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusOK:
		return data, nil
	case response.StatusCode == http.StatusUnauthorized:
		return nil, ErrNotAuthorized
	case response.StatusCode == http.StatusForbidden:
		return nil, ErrPassword
	}
	return nil, fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(data))
}
