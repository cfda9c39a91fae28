package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"archipel/lab/internal/k3s/api"
	"archipel/lab/internal/k3s/certs"
	"archipel/lab/internal/k3s/join"
	"archipel/lab/internal/k3s/token"
)

// serveSupervisor answers the nodes that join.
func (s *server) serveSupervisor(ctx context.Context) error {
	certificate, err := tls.LoadX509KeyPair(s.layout.tls("serving-kube-apiserver.crt"), s.layout.tls("serving-kube-apiserver.key"))
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", ":"+join.Port,
		&tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	web := &http.Server{
		Handler: s.supervisor(), ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
		ErrorLog: stdlog.New(io.Discard, "", 0), // whoever probes the port is no event
	}
	context.AfterFunc(ctx, func() { web.Close() })
	go func() {
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.end(fmt.Errorf("serving joins: %w", err))
		}
	}()
	return nil
}

// handler answers one path with what is to be encoded.
type handler func(request *http.Request) (any, error)

func (s *server) supervisor() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+join.PathCA, func(w http.ResponseWriter, _ *http.Request) {
		data, err := os.ReadFile(s.layout.tls("server-ca.crt"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(data)
	})
	for _, route := range []struct {
		pattern string
		agents  bool
		answer  handler
	}{
		{"GET " + join.PathConfig, true, s.answerConfig},
		{"GET " + join.PathServers, true, s.answerServers},
		{"POST " + join.PathNode, true, s.answerNode},
		{"GET " + join.PathBootstrap, false, func(*http.Request) (any, error) { return s.layout.readBootstrap() }},
		{"POST " + join.PathMember, false, s.answerMember},
		{"POST " + join.PathPromote, false, s.answerPromote},
	} {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			if !s.authorized(r, route.agents) {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			answer, err := route.answer(r)
			switch {
			case errors.Is(err, join.ErrPassword):
				http.Error(w, err.Error(), http.StatusForbidden)
			case err != nil:
				http.Error(w, err.Error(), http.StatusInternalServerError)
			default:
				_ = json.NewEncoder(w).Encode(answer)
			}
		})
	}
	return mux
}

// authorized says whether the request shows the token of the servers or, where
// agents may ask, theirs.
func (s *server) authorized(r *http.Request, agents bool) bool {
	user, password, _ := r.BasicAuth()
	switch {
	case user == token.ServerUser:
		return token.Equal(password, s.password)
	case user == token.NodeUser && agents:
		// k3s lets agents join with the token of the servers too.
		return token.Equal(password, s.agent) || token.Equal(password, s.password)
	}
	return false
}

func (s *server) answerConfig(*http.Request) (any, error) {
	return join.Config{Version: s.version, ClusterCIDR: s.values.Split("cluster-cidr")[0], Critical: s.critical()}, nil
}

// answerServers lists the servers that have a vote.
func (s *server) answerServers(r *http.Request) (any, error) {
	members, err := s.store.Members(r.Context())
	if err != nil {
		return nil, err
	}
	var servers []string
	for _, m := range members {
		if m.Name != "" && !m.Learner {
			servers = append(servers, net.JoinHostPort(m.Host(), "6443"))
		}
	}
	return servers, nil
}

func (s *server) answerNode(r *http.Request) (any, error) {
	var request join.NodeRequest
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&request); err != nil {
		return nil, err
	}
	if request.Name == "" || strings.ContainsAny(request.Name, "/?#% ") || request.Password == "" {
		return nil, errors.New("a node needs a name and a password")
	}
	if err := s.checkNode(r.Context(), request.Name, request.Password); err != nil {
		return nil, err
	}
	authority, err := s.layout.readPair("client-ca")
	if err != nil {
		return nil, err
	}
	// The identity of a kubelet: Kubernetes lets it touch its own node and pods only.
	return authority.IssueFor(request.Request, certs.Leaf{
		Name: "system:node:" + request.Name, Organizations: []string{"system:nodes"},
	}, time.Now())
}

func (s *server) answerMember(r *http.Request) (any, error) {
	var member join.Member
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&member); err != nil {
		return nil, err
	}
	cluster, err := s.store.Add(r.Context(), member.Name, member.Peer)
	return join.Joined{Cluster: cluster}, err
}

func (s *server) answerPromote(r *http.Request) (any, error) {
	var member join.Member
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&member); err != nil {
		return nil, err
	}
	return struct{}{}, s.store.Promote(r.Context(), member.Name)
}

const secretsPath = "/api/v1/namespaces/kube-system/secrets"

func passwordSecret(name string) string { return name + ".node-password.k3s" }

// checkNode compares the password of a node with the one of the host that
// registered the name first. So a second host of the same name is refused.
func (s *server) checkNode(ctx context.Context, name, password string) error {
	secret, err := s.client.Get(ctx, secretsPath+"/"+passwordSecret(name))
	if api.IsNotFound(err) {
		_, err = s.client.Create(ctx, secretsPath, api.Object{
			"apiVersion": "v1", "kind": "Secret", "immutable": true,
			"metadata":   api.Object{"name": passwordSecret(name)},
			"stringData": api.Object{"hash": token.HashPassword(password)},
		})
		return err
	}
	if err != nil {
		return err
	}
	hash, err := decode(api.String(secret, "data", "hash"))
	if err != nil || !token.CheckPassword(password, hash) {
		return join.ErrPassword
	}
	return nil
}
