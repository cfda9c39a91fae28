// Package agent is `k3s agent`: a node that joins the cluster of a server.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"archipel/lab/internal/k3s/api"
	"archipel/lab/internal/k3s/balancer"
	"archipel/lab/internal/k3s/certs"
	"archipel/lab/internal/k3s/child"
	"archipel/lab/internal/k3s/join"
	"archipel/lab/internal/k3s/node"
	"archipel/lab/internal/k3s/option"
	"archipel/lab/internal/k3s/server"
	"archipel/lab/internal/k3s/token"
)

// Config is what an agent is started with.
type Config struct {
	Values   option.Values
	Version  string
	Programs server.Programs
	Log      io.Writer
	Notify   string // socket of systemd that is told when it is up
}

const passwordFile = "/etc/rancher/node/password"

type agent struct {
	Config
	url, token string
	node       node.Node
	dir        string
	servers    *balancer.Balancer
}

// Run runs an agent until ctx ends or its simulator does.
func Run(ctx context.Context, config Config) error {
	if err := run(ctx, config); ctx.Err() == nil {
		return err
	}
	return nil
}

func run(ctx context.Context, config Config) error {
	v := config.Values
	a := &agent{Config: config, url: v.Text("server"), dir: filepath.Join(v.Text("data-dir"), "agent")}
	if a.url == "" {
		return errors.New("server is required")
	}
	supervisor, err := join.Supervisor(a.url)
	if err != nil {
		return err
	}
	if a.token, err = server.Secret(v, "token"); err != nil {
		return err
	}
	if a.token == "" {
		return errors.New("token is required")
	}
	if _, err := token.Parse(a.token); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if a.node, err = server.NewNode(v, config.Version); err != nil {
		return err
	}
	password, err := node.Password(passwordFile)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(supervisor[len("https://"):])
	if err != nil {
		return err
	}
	if a.servers, err = balancer.Listen("127.0.0.1:6444", a.known(net.JoinHostPort(host, "6443"))...); err != nil {
		return err
	}
	go a.servers.Serve(ctx)

	client, podCIDR, err := a.join(ctx, password)
	if err != nil {
		return err
	}
	if err := a.retry(ctx, "registering the node", func() error { return a.node.Register(ctx, client) }); err != nil {
		return err
	}
	a.say("the node %s is registered, version %s", a.node.Name, a.Version)
	node.Ready(a.Notify)
	go a.followServers(ctx)
	if err := a.node.AwaitNetwork(ctx, client, a.Log); err != nil {
		return err
	}
	if err := a.retry(ctx, "freeing the lease", func() error { return a.node.FreeLease(ctx, client) }); err != nil {
		return err
	}
	kwok, err := child.NewRunner(a.Log).Start(child.Spec{
		Name: "kwok", Path: a.Programs.ControlPlane(), Env: node.Environment(a.Version),
		Args: a.node.Simulator(a.file("kubelet.kubeconfig"), a.Programs.Stages(), podCIDR),
	})
	if err != nil {
		return err
	}
	select {
	case <-kwok.Done():
		return kwok.Err()
	case <-ctx.Done():
		a.say("stopping")
		kwok.Stop(5 * time.Second)
		return nil
	}
}

func (a *agent) say(format string, args ...any) { fmt.Fprintf(a.Log, "k3s: "+format+"\n", args...) }

func (a *agent) file(name string) string { return filepath.Join(a.dir, name) }

// connect reaches the supervisor of the first server that answers. The one
// that is configured need not be up.
func (a *agent) connect(ctx context.Context) (*join.Client, error) {
	client, err := join.Connect(ctx, a.url, a.token, token.NodeUser)
	if err == nil || errors.Is(err, join.ErrNotAuthorized) {
		return client, err
	}
	for _, known := range a.servers.Servers() {
		if client, other := join.Connect(ctx, "https://"+known, a.token, token.NodeUser); other == nil {
			return client, nil
		}
	}
	return nil, err
}

// join gets a certificate for the node. As k3s does, it tries for ever: the
// reason stands in the log.
func (a *agent) join(ctx context.Context, password string) (client *api.Client, podCIDR string, err error) {
	request, key, err := certs.Request("system:node:" + a.node.Name)
	if err != nil {
		return nil, "", err
	}
	err = a.retry(ctx, "joining the cluster", func() error {
		supervisor, err := a.connect(ctx)
		if err != nil {
			return fmt.Errorf("failed to validate connection to cluster at %s: %w", a.url, err)
		}
		config, err := supervisor.Config(ctx)
		if err != nil {
			return err
		}
		podCIDR = config.ClusterCIDR
		certificate, err := supervisor.Node(ctx, join.NodeRequest{Name: a.node.Name, Password: password, Request: request})
		if err != nil {
			return fmt.Errorf("registering the node %s: %w", a.node.Name, err)
		}
		if servers, err := supervisor.Servers(ctx); err == nil {
			a.setServers(servers)
		}
		const local = "https://127.0.0.1:6444"
		data, err := server.Kubeconfig(local, supervisor.CA(), certs.Pair{Certificate: certificate, Key: key})
		if err != nil {
			return err
		}
		if err := os.WriteFile(a.file("kubelet.kubeconfig"), data, 0o600); err != nil {
			return err
		}
		client, err = api.New(local, supervisor.CA(), certificate, key)
		return err
	})
	return client, podCIDR, err
}

// retry does something until it succeeds.
func (a *agent) retry(ctx context.Context, what string, do func() error) error {
	for last := ""; ; {
		err := do()
		if err == nil {
			return nil
		}
		if text := err.Error(); text != last {
			a.say("%s: %s", what, text)
			last = text
		}
		if err := node.Sleep(ctx, 2*time.Second); err != nil {
			return err
		}
	}
}

// known returns the servers of the last run, which outlive the configured one.
func (a *agent) known(configured string) []string {
	var servers []string
	if data, err := os.ReadFile(a.file("servers.json")); err == nil {
		_ = json.Unmarshal(data, &servers) // a broken file is no reason to stop
	}
	if len(servers) == 0 {
		servers = []string{configured}
	}
	return servers
}

func (a *agent) setServers(servers []string) {
	if len(servers) == 0 {
		return
	}
	a.servers.SetServers(servers)
	if data, err := json.Marshal(servers); err == nil {
		_ = os.WriteFile(a.file("servers.json"), data, 0o600) // the next run asks anew
	}
}

// followServers keeps the list of servers up to date.
func (a *agent) followServers(ctx context.Context) {
	for node.Sleep(ctx, 10*time.Second) == nil {
		client, err := a.connect(ctx)
		if err != nil {
			continue
		}
		if servers, err := client.Servers(ctx); err == nil {
			a.setServers(servers)
		}
	}
}
