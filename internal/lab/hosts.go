package lab

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"archipel/internal/fleet"
	"archipel/internal/kube"
	"archipel/internal/lab/hosts"
	"archipel/internal/secret"
	"archipel/internal/tool"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/yaml"
)

// imageSpace is what the image of the hosts and its packages take, in bytes.
const imageSpace = 1 << 30

// K3s says where the hosts take k3s from, where it is not the lab's own: a folder
// of this machine, or a URL.
type K3s struct{ Dir, URL string }

// ErrOtherKind is a lab of the other kind, simulated or with hosts, in the way.
var ErrOtherKind = errors.New("the lab holds sites of the other kind")

func (l *Lab) hostsDir() string { return filepath.Join(l.dir, "hosts") }

// Inventory is what Ansible needs to know of the lab's hosts beyond the repository.
func (l *Lab) Inventory() string { return filepath.Join(l.hostsDir(), "inventory.yml") }

// OfHosts says whether the lab's nodes are hosts, not simulated.
func (l *Lab) OfHosts() bool {
	r, err := l.readRecord()
	return err == nil && r.Hosts
}

// HostsImage returns the root filesystem of the hosts, and makes it when the cache
// does not hold what the recipe asks for.
func (l *Lab) HostsImage(ctx context.Context, report func(string)) (string, error) {
	release, err := hosts.MachineRelease()
	if err != nil {
		return "", err
	}
	key, err := hosts.ImageKey(release)
	if err != nil {
		return "", err
	}
	cache := filepath.Join(l.config.CacheHome, "archipel", "lab", "hosts-image")
	dir := filepath.Join(cache, key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("building the image of the hosts: %w", err)
	}
	unlock, err := waitLock(ctx, cache, func() { report("waiting for another build of the image") })
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil { // the other build made it
		return dir, nil
	}
	if err := checkSpace(cache, imageSpace, "building the image of the hosts"); err != nil {
		return "", err
	}
	report("installing " + release.ID + " " + release.Codename + " into an image for the hosts: about 2 minutes, once")
	work, err := os.MkdirTemp(cache, ".building-")
	if err != nil {
		return "", fmt.Errorf("building the image of the hosts: %w", err)
	}
	defer os.RemoveAll(work)
	root := filepath.Join(work, "root")
	if err := hosts.BuildImage(ctx, release, root, report); err != nil {
		return "", err
	}
	if err := os.Rename(root, dir); err != nil {
		return "", fmt.Errorf("building the image of the hosts: %w", err)
	}
	return dir, nil
}

// UpHosts raises the nodes of sites as hosts, with what answers the production
// URLs beside them, and changes nothing that runs. The hosts are bare: bootstrap
// takes them from there. When it fails or ctx ends, what it started has ended again.
func (l *Lab) UpHosts(ctx context.Context, f *fleet.Fleet, sites []*fleet.Site, secrets *Secrets, programs Programs, image string, k3s K3s, report Report) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	before, err := l.Processes()
	if err != nil {
		return err
	}
	fresh := !l.Exists()
	if err := l.upHosts(ctx, f, sites, secrets, programs, image, k3s, report); err != nil {
		return errors.Join(err, l.undo(before, fresh))
	}
	return nil
}

func (l *Lab) upHosts(ctx context.Context, f *fleet.Fleet, sites []*fleet.Site, secrets *Secrets, programs Programs, image string, k3s K3s, report Report) error {
	if strings.ContainsAny(l.dir, " \t'\"%$:,") {
		// ssh, Ansible and podman each read such a path in another way.
		return fmt.Errorf("the path of the lab's state %s holds a character that a lab with hosts cannot take; set XDG_STATE_HOME to another folder", l.dir)
	}
	if err := checkSpace(l.dir, stateSpace, "a lab"); err != nil {
		return err
	}
	plan, err := hosts.Plan(f)
	if err != nil {
		return err
	}
	r, err := l.readRecord()
	if errors.Is(err, os.ErrNotExist) {
		r.Repository = l.config.Repository
		r.Slot, err = l.chooseSlot()
	}
	if err != nil {
		return err
	}
	if !r.Hosts && len(r.Sites) > 0 {
		return ErrOtherKind
	}
	r.Hosts, r.Image, r.Programs = true, image, filepath.Dir(programs.Stages)
	for _, site := range sites {
		if !contains(r.Sites, site.Name) {
			r.Sites = append(r.Sites, site.Name)
		}
	}
	slices.Sort(r.Sites)
	r.Nodes = nodeNames(plan, r.Sites)
	report("", "making the network")
	n, err := l.hold(ctx)
	if err != nil {
		return err
	}
	for _, s := range plan {
		if err := n.Connect(ctx, s); err != nil {
			return err
		}
	}
	report("", "preparing secrets and serving the working tree")
	if secrets.own() || secrets.credentials == "" {
		secrets = &Secrets{}
	}
	if err := l.prepareSecrets(f, secrets); err != nil {
		return err
	}
	r.RepositorySecrets = !secrets.own()
	if _, err := l.serveHosts(ctx, f, r.RepositorySecrets); err != nil {
		return err
	}
	anew, err := l.startUpstream(ctx, f, upstreamOfHosts(n), l.credentialsFile(secrets), programs)
	if err != nil {
		return err
	}
	report("", Serving)
	if err := l.makeKeys(plan); err != nil {
		return err
	}
	if err := l.writeInventory(programs, k3s); err != nil {
		return err
	}
	if err := l.writeRecord(r); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(6) // podman takes one at a time for most of the way
	for _, s := range plan {
		if !slices.ContainsFunc(sites, func(site *fleet.Site) bool { return site.Name == s.Name }) {
			continue
		}
		for _, h := range s.Hosts {
			group.Go(func() error {
				report(s.Name, "starting "+h.Name)
				if err := l.startHost(groupCtx, n, s, h, r); err != nil {
					return err
				}
				report(s.Name, "waiting for SSH of "+h.Name)
				return l.awaitHost(groupCtx, n, h)
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := l.forward(n, plan, r, programs); err != nil {
		return err
	}
	faults, err := l.Faults()
	if err != nil {
		return err
	}
	if err := n.Apply(ctx, plan, faults); err != nil {
		return err
	}
	if anew {
		return l.trustUpstreamOnHosts(ctx, n, plan, r)
	}
	return nil
}

// trustUpstreamOnHosts starts source-controller anew where it runs: as trustUpstream.
func (l *Lab) trustUpstreamOnHosts(ctx context.Context, n *hosts.Namespace, plan []hosts.Site, r record) error {
	for _, s := range plan {
		if !contains(r.Sites, s.Name) {
			continue
		}
		for _, h := range s.Hosts { // any server may run it, and starts it again
			if _, err := l.onHost(ctx, n, h, "sudo -n pkill -f ^/opt/archipel-lab/bin/source-controller || true"); err != nil {
				return fmt.Errorf("starting source-controller of %s anew: %w", s.Name, err)
			}
		}
	}
	return nil
}

// nodeNames are the names of the hosts by site.
func nodeNames(plan []hosts.Site, sites []string) map[string][]string {
	names := map[string][]string{}
	for _, s := range plan {
		for _, h := range s.Hosts {
			if contains(sites, s.Name) {
				names[s.Name] = append(names[s.Name], h.Name)
			}
		}
	}
	return names
}

func (l *Lab) podmanDir() string { return filepath.Join(l.hostsDir(), "podman") }

// hold returns the lab's namespaces. What has outlived those that it was started in
// ends first.
func (l *Lab) hold(ctx context.Context) (*hosts.Namespace, error) {
	n, err := hosts.Held(l.dir, l.podmanDir())
	if err != nil || n != nil {
		return n, err
	}
	if err := l.stopSites(); err != nil {
		return nil, err
	}
	return hosts.Hold(ctx, l.dir, l.podmanDir())
}

// held returns the namespaces of a lab that runs.
func (l *Lab) held() (*hosts.Namespace, error) {
	n, err := hosts.Held(l.dir, l.podmanDir())
	if err == nil && n == nil {
		err = errors.New("the lab's hosts do not run; archipel lab up --hosts raises them")
	}
	return n, err
}

// cgroups is the folder of the hosts' control groups.
func (l *Lab) cgroups() string { return "/archipel-lab-" + filepath.Base(l.dir) }

func (l *Lab) startHost(ctx context.Context, n *hosts.Namespace, s hosts.Site, h hosts.Host, r record) error {
	return n.Start(ctx, s, h, hosts.Container{
		Image: r.Image, Own: l.ownDir(h), Programs: r.Programs, Cgroups: l.cgroups(), Group: l.dir, Site: s.Name,
	})
}

// ownDir is what a host sees as /etc/archipel-lab.
func (l *Lab) ownDir(h hosts.Host) string { return filepath.Join(l.hostsDir(), "own", h.Name) }

func (l *Lab) sshKey() string     { return filepath.Join(l.hostsDir(), "id_ed25519") }
func (l *Lab) knownHosts() string { return filepath.Join(l.hostsDir(), "known_hosts") }

// sshUser is who logs in at a host.
const sshUser = "ansible"

// sshOptions are those of every connection to a host.
func (l *Lab) sshOptions() []string {
	return []string{"-o", "UserKnownHostsFile=" + l.knownHosts(), "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"}
}

// ssh is the command line that runs another one on a host.
func (l *Lab) ssh(h hosts.Host, command ...string) []string {
	args := append([]string{"ssh", "-F", "none", "-i", l.sshKey(), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"}, l.sshOptions()...)
	return append(append(args, "--", sshUser+"@"+h.Address.String()), command...)
}

// onHost runs a command on a host, and returns what it prints on stdout.
func (l *Lab) onHost(ctx context.Context, n *hosts.Namespace, h hosts.Host, command ...string) ([]byte, error) {
	args := n.Enter(l.ssh(h, command...)...)
	return tool.Run(ctx, tool.Command{Name: args[0], Args: args[1:], Env: l.config.Environment})
}

// awaitHost waits until a host lets the lab log in.
func (l *Lab) awaitHost(ctx context.Context, n *hosts.Namespace, h hosts.Host) error {
	const limit = time.Minute
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		_, err := l.onHost(limited, n, h, "true")
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if limited.Err() != nil {
			return fmt.Errorf("%s does not answer over SSH after %s", h.Name, limit)
		}
		if err := sleep(limited, pollInterval); err != nil && ctx.Err() != nil {
			return err
		}
	}
}

// makeKeys makes the key of the lab and those of its hosts, each once, and what the
// hosts find in their own folders.
func (l *Lab) makeKeys(plan []hosts.Site) error {
	if err := os.MkdirAll(l.hostsDir(), 0o700); err != nil {
		return fmt.Errorf("making the keys of the hosts: %w", err)
	}
	own, err := makeSSHKey(l.sshKey())
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(l.upstreamCA())
	if err != nil {
		return fmt.Errorf("reading the certificate of the lab's upstreams: %w", err)
	}
	var known bytes.Buffer
	for _, s := range plan {
		for _, h := range s.Hosts {
			dir := l.ownDir(h)
			seed := filepath.Join(dir, "seed")
			for _, folder := range []string{"etc/ssh", "home/" + sshUser + "/.ssh"} {
				if err := os.MkdirAll(filepath.Join(seed, folder), 0o755); err != nil {
					return fmt.Errorf("making the keys of the hosts: %w", err)
				}
			}
			hostKey, err := makeSSHKey(filepath.Join(seed, "etc", "ssh", "ssh_host_ed25519_key"))
			if err != nil {
				return err
			}
			known.WriteString(knownhosts.Line([]string{h.Address.String()}, hostKey) + "\n")
			for name, text := range map[string]string{
				"seed/etc/hosts":       "127.0.0.1 localhost\n127.0.1.1 " + h.Name + "\n",
				"seed/etc/resolv.conf": "nameserver " + s.Router.String() + "\n",
				"seed/home/" + sshUser + "/.ssh/authorized_keys": string(ssh.MarshalAuthorizedKey(own)),
				"environment": fmt.Sprintf("HTTPS_PROXY=http://%s\nSSL_CERT_FILE=/etc/archipel-lab/ca.crt\n", netip.AddrPortFrom(s.Controller, proxyPort)),
				"ca.crt":      string(authority),
			} {
				// Any user of the host may read these.
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					return fmt.Errorf("making the files of %s: %w", h.Name, err)
				}
			}
		}
	}
	return writeFile(l.knownHosts(), known.Bytes())
}

// makeSSHKey makes a key unless it is there, and returns its public half.
func makeSSHKey(name string) (ssh.PublicKey, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("making an SSH key: %w", err)
		}
		block, err := ssh.MarshalPrivateKey(key, "archipel lab")
		if err != nil {
			return nil, fmt.Errorf("making an SSH key: %w", err)
		}
		data = pem.EncodeToMemory(block)
		if err := writeFile(name, data); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, fmt.Errorf("reading an SSH key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("reading the SSH key %s: %w", name, err)
	}
	return signer.PublicKey(), nil
}

// inventory is the variables that the lab's hosts need beyond the repository's.
func (l *Lab) inventory(programs Programs, k3s K3s) ([]byte, error) {
	variables := map[string]any{
		"ansible_user":                 sshUser,
		"ansible_ssh_private_key_file": l.sshKey(),
		"ansible_ssh_common_args":      strings.Join(l.sshOptions(), " "),
		"node_base_allow_debian":       true,
		"site_link_wireguard_go":       programs.WireGuard,
	}
	switch {
	case k3s.URL != "":
		variables["k3s_artifacts_url"] = k3s.URL
	case k3s.Dir != "":
		variables["k3s_artifacts_dir"] = k3s.Dir
	default:
		variables["k3s_artifacts_dir"] = programs.K3s
	}
	variables["k3s_airgap"] = true
	return yaml.Marshal(map[string]any{"all": map[string]any{"vars": variables}})
}

func (l *Lab) writeInventory(programs Programs, k3s K3s) error {
	data, err := l.inventory(programs, k3s)
	if err != nil {
		return fmt.Errorf("writing the lab's inventory: %w", err)
	}
	return writeFile(l.Inventory(), data)
}

// upstreamOfHosts is where the upstreams of a lab with hosts run: in its network,
// which nothing else reaches.
func upstreamOfHosts(n *hosts.Namespace) upstreamPlace {
	return upstreamPlace{
		address: netip.IPv4Unspecified(), enter: n.Enter(),
		ready: func(context.Context) bool { listens, err := n.Listens(proxyPort); return err == nil && listens },
	}
}

// forward lets programs outside of the lab's network reach the API server of each
// site, at the address that a simulated site would have.
func (l *Lab) forward(n *hosts.Namespace, plan []hosts.Site, r record, programs Programs) error {
	var ways []string
	for _, s := range plan {
		if contains(r.Sites, s.Name) {
			listen := netip.AddrPortFrom(siteAddress(r.Slot, s.ID), apiserverPort)
			ways = append(ways, listen.String()+"="+netip.AddrPortFrom(s.Hosts[0].Address, apiserverPort).String())
		}
	}
	running, err := l.Processes()
	if err != nil {
		return err
	}
	_, err = startProgram(program{daemon: tool.Daemon{
		Group: l.dir, Name: processName("", "forward"), Path: programs.Upstream,
		Args: []string{"forward", "--network=" + n.NetworkFile(), "--ways=" + strings.Join(ways, ",")},
		Env:  []string{"HOME=" + l.dir}, Log: l.LogFile("", "forward"),
	}}, netip.IPv4Unspecified(), running)
	return err
}

// FetchKubeconfigs makes Kubeconfig hold a context for each site of a lab with
// hosts whose first server has a cluster, and returns the sites that have none.
func (l *Lab) FetchKubeconfigs(ctx context.Context, f *fleet.Fleet) (without []string, err error) {
	unlock, err := l.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := l.readRecord()
	if err != nil {
		return nil, err
	}
	n, err := l.held()
	if err != nil {
		return nil, err
	}
	plan, err := hosts.Plan(f)
	if err != nil {
		return nil, err
	}
	for _, s := range plan {
		if !contains(r.Sites, s.Name) {
			continue
		}
		server := s.Hosts[0]
		config, err := l.onHost(ctx, n, server, "sudo", "-n", "cat", "/etc/rancher/k3s/k3s.yaml")
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			without = append(without, s.Name)
			continue
		}
		for file, to := range map[string]kube.Config{
			l.Kubeconfig(): {
				Content: config, Server: "https://" + netip.AddrPortFrom(siteAddress(r.Slot, s.ID), apiserverPort).String(),
				ServerName: server.Address.String(),
			},
			l.insideKubeconfig(): {
				Content: config, Server: "https://" + netip.AddrPortFrom(server.Address, apiserverPort).String(),
				ServerName: server.Address.String(),
			},
		} {
			if err := kube.Merge(file, s.Name, to); err != nil {
				return nil, fmt.Errorf("writing the kubeconfig of %s: %w", s.Name, err)
			}
		}
	}
	return without, nil
}

// insideKubeconfig is Kubeconfig for what runs in the lab's network.
func (l *Lab) insideKubeconfig() string { return filepath.Join(l.hostsDir(), "kubeconfig") }

// Tree is what the sites of a lab with hosts are made from: the repository, or a
// copy of it with the lab's own secrets.
func (l *Lab) Tree() (string, error) {
	r, err := l.readRecord()
	if err != nil || r.RepositorySecrets {
		return l.config.Repository, err
	}
	return l.copyDir(), nil
}

// Exec is the command that runs another one among the hosts of the lab: in its
// network, in the tree that its sites are made from, with what Ansible and
// archipel need to know of them in the environment.
func (l *Lab) Exec(f *fleet.Fleet, path string, command ...string) (tool.Command, error) {
	n, err := l.held()
	if err != nil {
		return tool.Command{}, err
	}
	plan, err := hosts.Plan(f)
	if err != nil {
		return tool.Command{}, err
	}
	tree, err := l.Tree()
	if err != nil {
		return tool.Command{}, err
	}
	direct := []string{"localhost", "127.0.0.0/8"}
	for _, s := range plan {
		direct = append(direct, s.Network.String())
	}
	environment := slices.DeleteFunc(slices.Clone(l.config.Environment), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains([]string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}, strings.ToUpper(name)) ||
			slices.Contains([]string{"XDG_RUNTIME_DIR", "PATH", "KUBECONFIG", "SSH_AUTH_SOCK"}, name)
	})
	environment = append(environment,
		"PATH="+path, "ARCHIPEL_LAB="+l.name, "ARCHIPEL_INVENTORY="+l.Inventory(), "KUBECONFIG="+l.insideKubeconfig(),
		fmt.Sprintf("HTTPS_PROXY=http://127.0.0.1:%d", proxyPort), "NO_PROXY="+strings.Join(direct, ","),
		"SSL_CERT_FILE="+l.upstreamCA())
	if tree != l.config.Repository {
		environment = append(environment, secret.KeyFileVariable+"="+l.identityFile())
	}
	args := n.Enter(append([]string{"env", "--chdir=" + tree}, command...)...)
	return tool.Command{Name: args[0], Args: args[1:], Env: environment}, nil
}

// host returns a host of the lab by its name.
func (l *Lab) host(f *fleet.Fleet, name string) (*hosts.Namespace, hosts.Site, hosts.Host, error) {
	fail := func(err error) (*hosts.Namespace, hosts.Site, hosts.Host, error) {
		return nil, hosts.Site{}, hosts.Host{}, err
	}
	n, err := l.held()
	if err != nil {
		return fail(err)
	}
	plan, err := hosts.Plan(f)
	if err != nil {
		return fail(err)
	}
	raised, err := l.Sites()
	if err != nil {
		return fail(err)
	}
	s, h, ok := hosts.Find(plan, name)
	if !ok || !contains(raised, s.Name) {
		return fail(fmt.Errorf("the lab has no host %q", name))
	}
	return n, s, h, nil
}

// KillHost ends a host as a machine that loses its power, and says whether it ran.
func (l *Lab) KillHost(ctx context.Context, f *fleet.Fleet, name string) (ran bool, err error) {
	unlock, err := l.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	n, s, h, err := l.host(f, name)
	if err != nil {
		return false, err
	}
	if err := n.Unplug(ctx, h); err != nil {
		return false, err
	}
	running, err := l.Processes()
	if err != nil {
		return false, err
	}
	stop := slices.DeleteFunc(running, func(p tool.Process) bool { return p.Name != hosts.HostProcess(s.Name, h.Name) })
	return len(stop) > 0, tool.Stop(stop, 0)
}

// StartHost switches a host on again, with the disk that it had or, when it is fresh,
// with a new one.
func (l *Lab) StartHost(ctx context.Context, f *fleet.Fleet, name string, fresh bool) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	n, s, h, err := l.host(f, name)
	if err != nil {
		return err
	}
	r, err := l.readRecord()
	if err != nil {
		return err
	}
	if fresh {
		if err := n.Remove(ctx, h.Name); err != nil {
			return err
		}
	}
	if err := l.startHost(ctx, n, s, h, r); err != nil {
		return err
	}
	return l.awaitHost(ctx, n, h)
}

// Journal is the command that prints the journal of a host.
func (l *Lab) Journal(f *fleet.Fleet, name string, args ...string) (tool.Command, error) {
	n, _, h, err := l.host(f, name)
	if err != nil {
		return tool.Command{}, err
	}
	command := n.Enter(l.ssh(h, append([]string{"sudo", "-n", "journalctl", "--no-pager", "--quiet"}, args...)...)...)
	return tool.Command{Name: command[0], Args: command[1:], Env: l.config.Environment}, nil
}

// removeHosts deletes the hosts of sites, which do not run, with their disks.
func (l *Lab) removeHosts(sites []string) error {
	r, err := l.readRecord()
	if err != nil {
		return err
	}
	n, err := l.held()
	if err != nil {
		return err
	}
	for _, site := range sites {
		for _, host := range r.Nodes[site] {
			if err := n.Remove(context.Background(), host); err != nil {
				return fmt.Errorf("removing %s: %w", host, err)
			}
		}
	}
	return nil
}

func (l *Lab) faultsFile() string { return filepath.Join(l.hostsDir(), "faults.json") }

// Faults are what is wrong between sites because somebody asked for it.
func (l *Lab) Faults() ([]hosts.Fault, error) {
	data, err := os.ReadFile(l.faultsFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var faults []hosts.Fault
	if err == nil {
		err = json.Unmarshal(data, &faults)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the faults of the lab: %w", err)
	}
	return faults, nil
}

// Lose makes the router between two sites lose a share of the packets, in percent;
// 0 heals.
func (l *Lab) Lose(ctx context.Context, f *fleet.Fleet, a, b string, percent int) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	n, err := l.held()
	if err != nil {
		return err
	}
	plan, err := hosts.Plan(f)
	if err != nil {
		return err
	}
	faults, err := l.Faults()
	if err != nil {
		return err
	}
	faults = hosts.Change(faults, a, b, percent)
	if err := n.Apply(ctx, plan, faults); err != nil {
		return err
	}
	data, err := json.Marshal(faults)
	if err != nil {
		return fmt.Errorf("remembering the faults of the lab: %w", err)
	}
	return writeFile(l.faultsFile(), data)
}
