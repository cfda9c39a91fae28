// Package datastore is the client of the servers' etcd: its members, its snapshots, and the cluster's secrets that lie in it.
package datastore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"archipel/lab/internal/k3s/token"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Identity is the certificate with which etcd is reached, as files.
type Identity struct{ CA, Certificate, Key string }

// Store is one etcd.
type Store struct {
	config clientv3.Config
	client *clientv3.Client
}

// Open returns a client of an etcd. It does not wait for it.
func Open(endpoint string, identity Identity) (*Store, error) {
	pair, err := tls.LoadX509KeyPair(identity.Certificate, identity.Key)
	if err != nil {
		return nil, fmt.Errorf("reaching etcd: %w", err)
	}
	ca, err := os.ReadFile(identity.CA)
	if err != nil {
		return nil, fmt.Errorf("reaching etcd: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := clientv3.Config{
		Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		// It is on this host: there is nobody to be patient with while it starts.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1, MaxDelay: 100 * time.Millisecond}, MinConnectTimeout: time.Second,
		})},
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, fmt.Errorf("reaching etcd: %w", err)
	}
	return &Store{config: config, client: client}, nil
}

// Close ends the connections.
func (s *Store) Close() { _ = s.client.Close() }

// Ready says why etcd does not answer, or nil. A member that is not yet a
// voter answers too.
func (s *Store) Ready(ctx context.Context) error {
	_, err := s.client.Get(ctx, "/", clientv3.WithCountOnly())
	if err != nil && strings.Contains(err.Error(), "not supported for learner") {
		return nil
	}
	return err
}

const bootstrapPrefix = "/bootstrap/"

// ErrOtherToken says that the cluster's secrets are under another token.
var ErrOtherToken = errors.New("bootstrap data already found and encrypted with a different token: use the token that the cluster was made with")

// Bootstrap returns the cluster's secrets, or nil when there are none.
func (s *Store) Bootstrap(ctx context.Context, password string) (map[string][]byte, error) {
	answer, err := s.client.Get(ctx, bootstrapPrefix, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's secrets: %w", err)
	}
	if len(answer.Kvs) == 0 {
		return nil, nil
	}
	for _, kv := range answer.Kvs {
		if string(kv.Key) != bootstrapPrefix+token.Name(password) {
			continue
		}
		data, err := token.Open(password, kv.Value)
		if err != nil {
			return nil, err
		}
		var files map[string][]byte
		if err := json.Unmarshal(data, &files); err != nil {
			return nil, fmt.Errorf("reading the cluster's secrets: %w", err)
		}
		return files, nil
	}
	return nil, ErrOtherToken
}

// SaveBootstrap keeps the cluster's secrets, once.
func (s *Store) SaveBootstrap(ctx context.Context, password string, files map[string][]byte) error {
	data, err := json.Marshal(files)
	if err != nil {
		return err
	}
	sealed, err := token.Seal(password, data)
	if err != nil {
		return err
	}
	key := bootstrapPrefix + token.Name(password)
	_, err = s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, string(sealed))).Commit()
	if err != nil {
		return fmt.Errorf("keeping the cluster's secrets: %w", err)
	}
	return nil
}

// Member is a server's etcd.
type Member struct {
	ID      uint64
	Name    string // empty before it has started
	Peer    string
	Learner bool
}

// Host is the address at which other members reach it.
func (m Member) Host() string {
	u, err := url.Parse(m.Peer)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Members returns all members.
func (s *Store) Members(ctx context.Context) ([]Member, error) {
	answer, err := s.client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the members of etcd: %w", err)
	}
	var members []Member
	for _, m := range answer.Members {
		member := Member{ID: m.ID, Name: m.Name, Learner: m.IsLearner}
		if len(m.PeerURLs) > 0 {
			member.Peer = m.PeerURLs[0]
		}
		members = append(members, member)
	}
	return members, nil
}

// IsLearner says whether the member that is asked has no vote yet.
func (s *Store) IsLearner(ctx context.Context) (bool, error) {
	status, err := s.client.Status(ctx, s.config.Endpoints[0]) // a learner answers little else
	if err != nil {
		return false, fmt.Errorf("asking etcd for its state: %w", err)
	}
	return status.IsLearner, nil
}

// ErrBusy says that etcd takes one new member at a time.
var ErrBusy = errors.New("another server joins etcd just now")

// Add adds a member that learns until Promote makes it a voter. It returns the
// text of etcd's flag --initial-cluster.
func (s *Store) Add(ctx context.Context, name, peer string) (string, error) {
	members, err := s.Members(ctx)
	if err != nil {
		return "", err
	}
	added := false
	for _, m := range members {
		switch {
		case m.Peer == peer && m.Name == "":
			added = true // an attempt that did not come to its end
		case m.Peer == peer && m.Name == name:
			return "", fmt.Errorf("etcd knows this server as %s, but there is no database of it here: delete its node first", name)
		case m.Peer == peer:
			return "", fmt.Errorf("etcd has the member %s with the address %s already: delete the node that it belongs to first", m.Name, m.Host())
		case m.Learner:
			return "", ErrBusy
		}
	}
	if !added {
		if _, err := s.client.MemberAddAsLearner(ctx, []string{peer}); err != nil {
			return "", fmt.Errorf("adding %s to etcd: %w", name, err)
		}
	}
	cluster := []string{name + "=" + peer}
	for _, m := range members {
		if m.Peer != peer {
			cluster = append(cluster, m.Name+"="+m.Peer)
		}
	}
	return strings.Join(cluster, ","), nil
}

// Promote makes a member a voter, once it has learnt enough.
func (s *Store) Promote(ctx context.Context, name string) error {
	members, err := s.Members(ctx)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Name != name {
			continue
		}
		if m.Learner {
			_, err = s.client.MemberPromote(ctx, m.ID)
		}
		return err
	}
	return fmt.Errorf("etcd has no member %s yet", name)
}

// Remove removes a member, and is content when there is none.
func (s *Store) Remove(ctx context.Context, name string) error {
	members, err := s.Members(ctx)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Name == name {
			_, err = s.client.MemberRemove(ctx, m.ID)
			return err
		}
	}
	return nil
}

// Snapshot writes a snapshot.
func (s *Store) Snapshot(ctx context.Context, file string) error {
	_, err := snapshot.SaveWithVersion(ctx, zap.NewNop(), s.config, file)
	return err
}
