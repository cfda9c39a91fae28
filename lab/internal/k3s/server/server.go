// Package server is `k3s server`: a control plane of real upstream programs on one host, and the node that it is.
package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"archipel/lab/internal/k3s/api"
	"archipel/lab/internal/k3s/balancer"
	"archipel/lab/internal/k3s/certs"
	"archipel/lab/internal/k3s/child"
	"archipel/lab/internal/k3s/cron"
	"archipel/lab/internal/k3s/datastore"
	"archipel/lab/internal/k3s/join"
	"archipel/lab/internal/k3s/node"
	"archipel/lab/internal/k3s/option"
	"archipel/lab/internal/k3s/token"
)

// Config is what a server is started with.
type Config struct {
	Values   option.Values
	Version  string
	Programs Programs
	Log      io.Writer
	Notify   string // socket of systemd that is told when it is up
}

// Files of a host that are not below the data folder.
const (
	passwordFile    = "/etc/rancher/node/password"
	environmentFile = "/etc/archipel-lab/environment"
)

type server struct {
	values      option.Values
	version     string
	programs    Programs
	log         io.Writer
	notify      string
	layout      layout
	runner      *child.Runner
	node        node.Node
	address     string // of this host, for the other servers
	advertise   string
	member      string // name in etcd
	joins       bool
	password    string // the cluster's
	agent       string // the password of agents
	environment []string
	snapshots   cron.Schedule

	store  *datastore.Store
	client *api.Client // as the supervisor

	mutex    sync.Mutex
	children []*child.Child // in the order of their start
	ended    chan error     // why the server cannot go on
}

// Run runs a server until ctx ends or a program of it does.
func Run(ctx context.Context, config Config) error {
	s, err := newServer(config)
	if err != nil {
		return err
	}
	if s.values.Switch("cluster-reset") {
		return s.reset(ctx)
	}
	defer s.stop()
	if err := s.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	select {
	case <-ctx.Done():
		s.say("stopping")
		return nil
	case err := <-s.ended:
		return err
	}
}

// newServer checks the options before anything is touched.
func newServer(config Config) (*server, error) {
	v := config.Values
	s := &server{
		values: v, version: config.Version, programs: config.Programs, log: config.Log, notify: config.Notify,
		layout: layout{data: v.Text("data-dir")}, runner: child.NewRunner(config.Log), ended: make(chan error, 1),
	}
	if err := checkOptions(v); err != nil {
		return nil, err
	}
	var err error
	if s.node, err = NewNode(v, config.Version); err != nil {
		return nil, err
	}
	s.address = s.node.Addresses[0]
	if s.advertise = v.Text("advertise-address"); s.advertise == "" {
		s.advertise = s.address
	}
	if s.snapshots, err = cron.Parse(v.Text("etcd-snapshot-schedule-cron")); err != nil {
		return nil, err
	}
	if s.environment, err = readEnvironment(environmentFile); err != nil {
		return nil, err
	}
	if s.password, err = s.secret("token"); err != nil {
		return nil, err
	}
	if s.agent, err = s.secret("agent-token"); err != nil {
		return nil, err
	}
	return s, nil
}

// checkOptions refuses what the lab would not do and somebody would miss.
func checkOptions(v option.Values) error {
	if backend := v.Text("flannel-backend"); backend != "none" {
		return fmt.Errorf("flannel-backend is %q: the lab's k3s has no flannel; set it to none", backend)
	}
	for _, name := range []string{"disable-kube-proxy", "disable-network-policy"} {
		if !v.Switch(name) {
			return fmt.Errorf("%s is not set: the lab's k3s has no such component", name)
		}
	}
	packaged := []string{"coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes"}
	disabled := v.Split("disable")
	for _, name := range disabled {
		if !slices.Contains(packaged, name) {
			return fmt.Errorf("disable: k3s packages no component %q; it packages %s", name, strings.Join(packaged, ", "))
		}
	}
	for _, name := range []string{"servicelb", "traefik"} {
		if !slices.Contains(disabled, name) {
			return fmt.Errorf("disable does not hold %s: the lab's k3s has no such component", name)
		}
	}
	for _, name := range []string{"cluster-cidr", "service-cidr"} {
		for _, prefix := range v.Split(name) {
			if _, err := netip.ParsePrefix(prefix); err != nil {
				return fmt.Errorf("%s %q is not a network", name, prefix)
			}
		}
	}
	if service, dns := v.Split("service-cidr"), v.Split("cluster-dns"); v.Given("cluster-dns") {
		address, err := netip.ParseAddr(dns[0])
		if err != nil || !netip.MustParsePrefix(service[0]).Contains(address) {
			return fmt.Errorf("cluster-dns %s is not within service-cidr %s", dns[0], service[0])
		}
	}
	if v.Given("cluster-reset-restore-path") && !v.Switch("cluster-reset") {
		return errors.New("invalid flag use; cluster-reset is required with cluster-reset-restore-path")
	}
	return nil
}

// NewNode reads what the options say of the node, for servers and agents.
func NewNode(v option.Values, version string) (node.Node, error) {
	n := node.Node{Version: version, External: v.Split("node-external-ip")}
	var err error
	if n.Name, err = node.Hostname(v.Text("node-name")); err != nil {
		return n, err
	}
	if n.Addresses, err = node.Addresses(v.Split("node-ip")); err != nil {
		return n, err
	}
	if n.Labels, err = node.Labels(v.List("node-label")); err != nil {
		return n, err
	}
	if n.Taints, err = node.Taints(v.List("node-taint")); err != nil {
		return n, err
	}
	if file := v.Text("resolv-conf"); file != "" {
		if _, err := os.Stat(file); err != nil {
			return n, fmt.Errorf("resolv-conf: %w", err)
		}
	}
	if v.Switch("protect-kernel-defaults") {
		return n, node.CheckKernel(os.DirFS("/proc"))
	}
	return n, nil
}

// Secret returns the option or, when it is not set, the content of the file
// that option-file names.
func Secret(v option.Values, name string) (string, error) {
	file := v.Text(name + "-file")
	if v.Text(name) != "" || file == "" {
		return v.Text(name), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading %s-file: %w", name, err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", fmt.Errorf("%s-file %s is empty", name, file)
	}
	return text, nil
}

// secret returns a password of the cluster: the one that is configured or, the
// next time, the one that was.
func (s *server) secret(name string) (string, error) {
	text, err := Secret(s.values, name)
	if err != nil {
		return "", err
	}
	if text == "" {
		data, _ := os.ReadFile(s.layout.file(name))
		text = strings.TrimSpace(string(data))
	}
	if text == "" {
		return "", nil
	}
	parsed, err := token.Parse(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return parsed.Password, nil
}

func (s *server) say(format string, args ...any) {
	fmt.Fprintf(s.log, "k3s: "+format+"\n", args...)
}

func (s *server) peer() string { return "https://" + net.JoinHostPort(s.address, "2380") }

// start brings the server up, and tells systemd.
func (s *server) start(ctx context.Context) error {
	for _, port := range []string{"2379", "2380", "6443", "6444", join.Port, "10247", "10257", "10259"} {
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return fmt.Errorf("port %s is not free: %w", port, err)
		}
		listener.Close()
	}
	cluster, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	if err := s.startEtcd(ctx, cluster); err != nil {
		return err
	}
	if err := s.shareBootstrap(ctx); err != nil {
		return err
	}
	if err := s.startAPI(ctx); err != nil {
		return err
	}
	if err := s.writeTokens(); err != nil {
		return err
	}
	if err := s.startNode(ctx); err != nil {
		return err
	}
	_ = os.Remove(s.layout.resetFlag())
	s.say("the server %s is up, version %s", s.node.Name, s.version)
	node.Ready(s.notify)
	for _, task := range []func(context.Context){s.watchNodes, s.runFlux, s.installCilium, s.takeSnapshots} {
		go task(ctx)
	}
	return nil
}

// prepare gets the cluster's secrets and this server's certificates. It
// returns etcd's initial cluster, or nothing when etcd has a database.
func (s *server) prepare(ctx context.Context) (cluster string, err error) {
	now := time.Now()
	name, err := s.memberName()
	if err != nil {
		return "", err
	}
	s.member = name
	url := s.values.Text("server")
	switch {
	case s.layout.hasDatabase():
		if _, err := s.layout.readBootstrap(); err != nil {
			return "", fmt.Errorf("there is a database in %s, but: %w", s.layout.etcd(), err)
		}
		if s.values.Switch("secrets-encryption") && !s.layout.exists("cred", "encryption-config.json") {
			return "", errors.New("secrets-encryption is set, but the cluster was made without it: the lab's k3s cannot change it later")
		}
	case url != "":
		if s.password == "" {
			return "", errors.New("token is required to join a cluster")
		}
		s.joins = true
		if cluster, err = s.joinCluster(ctx, url); err != nil {
			return "", fmt.Errorf("joining the cluster of %s: %w", url, err)
		}
	case !s.values.Switch("cluster-init"):
		return "", errors.New("neither cluster-init nor server is set: the lab's k3s has embedded etcd only")
	default:
		cluster = s.member + "=" + s.peer()
		if err := s.layout.makeBootstrap(s.values.Switch("secrets-encryption"), s.values.Text("secrets-encryption-provider"), now); err != nil {
			return "", err
		}
	}
	if s.password == "" {
		s.password = token.Random()
	}
	if s.agent == "" {
		s.agent = s.password
	}
	if err := s.layout.makeLeaves(s.hosts(), s.node.Name, now); err != nil {
		return "", err
	}
	return cluster, s.layout.writeAdmin(s.values.Text("write-kubeconfig"), s.values.Text("write-kubeconfig-mode"))
}

// hosts are the names and addresses of this server.
func (s *server) hosts() []string {
	domain := s.values.Text("cluster-domain")
	hosts := []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + domain,
		"localhost", "127.0.0.1", s.node.Name, s.advertise,
	}
	for _, network := range s.values.Split("service-cidr") {
		hosts = append(hosts, netip.MustParsePrefix(network).Masked().Addr().Next().String())
	}
	hosts = append(hosts, s.node.Addresses...)
	return append(append(hosts, s.node.External...), s.values.Split("tls-san")...)
}

// memberName returns the name in etcd, which is made once for each database.
func (s *server) memberName() (string, error) {
	file := s.layout.file("db", "etcd", "name")
	if data, err := os.ReadFile(file); err == nil {
		return strings.TrimSpace(string(data)), nil
	}
	name := s.node.Name + "-" + token.Random()[:8]
	return name, writeFile(file, []byte(name), 0o600)
}

// critical are the options that must be the same on all servers.
func (s *server) critical() map[string]string {
	critical := map[string]string{}
	for _, name := range []string{
		"cluster-cidr", "service-cidr", "cluster-dns", "cluster-domain", "flannel-backend", "egress-selector-mode",
		"secrets-encryption", "disable-network-policy", "disable-helm-controller", "disable-cloud-controller", "embedded-registry",
	} {
		critical[name] = strings.Join(s.values.Split(name), ",")
		if critical[name] == "" {
			critical[name] = "false"
		}
	}
	return critical
}

// joinCluster gets what a new server needs from one that is up.
func (s *server) joinCluster(ctx context.Context, url string) (cluster string, err error) {
	text, err := Secret(s.values, "token")
	if err != nil {
		return "", err
	}
	if text == "" {
		text = s.password
	}
	client, err := join.Connect(ctx, url, text, token.ServerUser)
	if err != nil {
		return "", err
	}
	config, err := client.Config(ctx)
	if err != nil {
		return "", err
	}
	mine := s.critical()
	for name, value := range config.Critical {
		if mine[name] != value {
			return "", fmt.Errorf("critical configuration value mismatch between servers: %s is %q here and %q there", name, mine[name], value)
		}
	}
	// Before anything changes there: a second host of this name must not get into etcd.
	password, err := node.Password(passwordFile)
	if err != nil {
		return "", err
	}
	request, _, err := certs.Request(s.node.Name)
	if err != nil {
		return "", err
	}
	if _, err := client.Node(ctx, join.NodeRequest{Name: s.node.Name, Password: password, Request: request}); err != nil {
		return "", fmt.Errorf("registering the node %s: %w", s.node.Name, err)
	}
	files, err := client.Bootstrap(ctx)
	if err != nil {
		return "", err
	}
	if err := s.layout.writeBootstrap(files); err != nil {
		return "", err
	}
	for {
		joined, err := client.Join(ctx, join.Member{Name: s.member, Peer: s.peer()})
		if err == nil {
			return joined.Cluster, nil
		}
		if !strings.Contains(err.Error(), datastore.ErrBusy.Error()) {
			return "", err
		}
		s.say("waiting to join etcd: %v", err)
		if err := node.Sleep(ctx, 2*time.Second); err != nil {
			return "", err
		}
	}
}

// startEtcd starts etcd and waits until this server has a vote.
func (s *server) startEtcd(ctx context.Context, cluster string) error {
	etcd, err := s.run(s.etcd(cluster))
	if err != nil {
		return err
	}
	if s.store, err = datastore.Open("https://127.0.0.1:2379", s.layout.etcdIdentity()); err != nil {
		return err
	}
	go func() {
		// etcd ends of itself, and well, only when the other members have removed it.
		if <-etcd.Done(); etcd.Succeeded() {
			s.end(fmt.Errorf("this server is no member of etcd any more: delete %s and start k3s to join anew", s.layout.file("db")))
		}
	}()
	if err := s.await(ctx, "etcd", etcd, s.store.Ready); err != nil {
		return err
	}
	return s.await(ctx, "a vote in etcd", etcd, s.becomeVoter)
}

// becomeVoter asks the server through which this one joined to promote it. A
// member that was a learner when it was stopped asks again.
func (s *server) becomeVoter(ctx context.Context) error {
	if learner, err := s.store.IsLearner(ctx); err != nil || !learner {
		return err
	}
	text, err := Secret(s.values, "token")
	if err != nil {
		return err
	}
	client, err := join.Connect(ctx, s.values.Text("server"), text, token.ServerUser)
	if err != nil {
		return err
	}
	if err := client.Promote(ctx, join.Member{Name: s.member}); err != nil {
		return err
	}
	return errors.New("the promotion is on its way")
}

// shareBootstrap compares the cluster's secrets with those on this disk, and
// keeps them in etcd when there are none. It fails with another token.
func (s *server) shareBootstrap(ctx context.Context) error {
	files, err := s.layout.readBootstrap()
	if err != nil {
		return err
	}
	kept, err := s.store.Bootstrap(ctx, s.password)
	if err != nil {
		return err
	}
	if kept == nil {
		return s.store.SaveBootstrap(ctx, s.password, files)
	}
	if !sameFiles(files, kept) {
		return fmt.Errorf("the certificates in %s are not those of the cluster", s.layout.file("tls"))
	}
	return nil
}

func (s *server) startAPI(ctx context.Context) error {
	apiserver, err := s.run(s.apiserver())
	if err != nil {
		return err
	}
	if s.client, err = s.clientOf("client-supervisor"); err != nil {
		return err
	}
	if err := s.await(ctx, "kube-apiserver", apiserver, s.client.Ready); err != nil {
		return err
	}
	if err := s.freeLocks(ctx); err != nil {
		return err
	}
	for _, spec := range []child.Spec{s.controllerManager(), s.scheduler()} {
		if _, err := s.run(spec); err != nil {
			return err
		}
	}
	return s.serveSupervisor(ctx)
}

// freeLocks gives up the leases of this server's last controller manager and
// scheduler, which are gone: they would stand still until the leases run out.
func (s *server) freeLocks(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
		path := "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/" + name
		lease, err := s.client.Get(ctx, path)
		if api.IsNotFound(err) {
			continue
		}
		if err == nil && strings.HasPrefix(api.String(lease, "spec", "holderIdentity"), host+"_") {
			err = s.client.Delete(ctx, path)
		}
		if err != nil {
			return fmt.Errorf("freeing the lease of %s: %w", name, err)
		}
	}
	return nil
}

func (s *server) clientOf(name string) (*api.Client, error) {
	pair, err := s.layout.readPair(name)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(s.layout.tls("server-ca.crt"))
	if err != nil {
		return nil, err
	}
	return api.New("https://127.0.0.1:6443", ca, pair.Certificate, pair.Key)
}

// writeTokens writes the tokens, which now hold the hash of the CA.
func (s *server) writeTokens() error {
	ca, err := os.ReadFile(s.layout.tls("server-ca.crt"))
	if err != nil {
		return err
	}
	full := token.Format(ca, token.ServerUser, s.password)
	if err := writeFile(s.layout.file("token"), []byte(full+"\n"), 0o600); err != nil {
		return err
	}
	agent := full
	if s.agent != s.password {
		agent = token.Format(ca, token.NodeUser, s.agent)
	}
	if err := writeFile(s.layout.file("agent-token"), []byte(agent+"\n"), 0o600); err != nil {
		return err
	}
	return writeFile(s.layout.file("node-token"), []byte(full+"\n"), 0o600)
}

// startNode registers this server as a node and starts what plays its kubelet.
func (s *server) startNode(ctx context.Context) error {
	local, err := balancer.Listen("127.0.0.1:6444", "127.0.0.1:6443")
	if err != nil {
		return err
	}
	go local.Serve(ctx)
	password, err := node.Password(passwordFile)
	if err != nil {
		return err
	}
	if err := s.eventually(ctx, "the namespaces of the system", func(ctx context.Context) error {
		if err := s.allowSimulators(ctx); err != nil {
			return err
		}
		return s.checkNode(ctx, s.node.Name, password)
	}); err != nil {
		return err
	}
	kubelet, err := s.clientOf("client-kubelet")
	if err != nil {
		return err
	}
	if err := s.eventually(ctx, "the node", func(ctx context.Context) error { return s.node.Register(ctx, kubelet) }); err != nil {
		return err
	}
	if err := s.eventually(ctx, "the roles of the node", s.markNode); err != nil {
		return err
	}
	go func() {
		if err := s.node.AwaitNetwork(ctx, kubelet, s.log); err != nil {
			return
		}
		if err := s.node.FreeLease(ctx, kubelet); err != nil {
			s.say("%v", err)
		}
		if _, err := s.run(s.kwok()); err != nil {
			s.end(err)
		}
	}()
	return nil
}

// run starts a program whose end ends the server.
func (s *server) run(spec child.Spec) (*child.Child, error) {
	s.say("starting %s", spec.Name)
	c, err := s.runner.Start(spec)
	if err != nil {
		return nil, err
	}
	s.mutex.Lock()
	s.children = append(s.children, c)
	s.mutex.Unlock()
	go func() {
		if <-c.Done(); spec.Name != "etcd" || !c.Succeeded() {
			s.end(c.Err())
		}
	}()
	return c, nil
}

// end gives the first reason why the server cannot go on.
func (s *server) end(err error) {
	select {
	case s.ended <- err:
	default:
	}
}

// stop ends the programs, the last one first.
func (s *server) stop() {
	const patience = 10 * time.Second
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, c := range slices.Backward(s.children) {
		c.Stop(patience)
	}
}

// await asks until ready says so or the program ends, and tells what it waits for.
func (s *server) await(ctx context.Context, what string, c *child.Child, ready func(context.Context) error) error {
	for said := time.Now(); ; {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := ready(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if time.Since(said) > 5*time.Second {
			reason, _, _ := strings.Cut(err.Error(), "\n")
			s.say("waiting for %s: %s", what, reason)
			said = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.Done():
			return c.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// eventually tries for a while: what it needs comes soon after the API server.
func (s *server) eventually(ctx context.Context, what string, do func(context.Context) error) error {
	const limit = time.Minute
	for begin := time.Now(); ; {
		err := do(ctx)
		if err == nil || errors.Is(err, join.ErrPassword) || ctx.Err() != nil {
			return err
		}
		select {
		case dead := <-s.ended:
			return dead
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
		if time.Since(begin) > limit {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
	}
}

// readEnvironment reads a file of KEY=VALUE lines; it need not be there.
func readEnvironment(file string) ([]string, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var environment []string
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		line := strings.TrimPrefix(strings.TrimSpace(scanner.Text()), "export ")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("%s: %q is not of the form KEY=VALUE", file, line)
		}
		environment = append(environment, key+"="+strings.Trim(value, `"'`))
	}
	return environment, nil
}

func (s *server) makeFolders(names ...string) error {
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(s.layout.data, name), 0o700); err != nil {
			return err
		}
	}
	return nil
}
