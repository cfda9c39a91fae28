package bootstrap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"archipel/internal/fleet"

	"golang.org/x/sync/errgroup"
)

// The bounds that preflight holds hosts to.
const (
	clockError   = 30 * time.Second // certificates that are not valid yet
	clockWarning = 2 * time.Second
	freeError    = 2 << 20 // KiB: the images of k3s, Cilium and Flux do not fit
	freeWarning  = 10 << 20
)

// healthPort is where Cilium's replacement of kube-proxy answers.
const healthPort = "10256"

// serverPorts are those that a server must have for itself, as k3s documents them.
func nodePorts(role fleet.Role) []string {
	if role == fleet.RoleServer {
		return []string{healthPort, "10250", "6443", "2379", "2380"}
	}
	return []string{healthPort, "10250"}
}

// Preflight asks hosts all at the same time what they are, and returns what stands in
// the way. It changes nothing. hosts are those to look at, sites all of the fleet.
func (a *Ansible) Preflight(ctx context.Context, hosts []Host, sites []*Site, others []*fleet.Site, view View) ([]Problem, error) {
	var (
		mu       sync.Mutex
		problems []Problem
		answers  = map[string]*answer{}
		done     int
	)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	for _, h := range hosts {
		group.Go(func() error {
			site := siteOf(sites, h.Site)
			targets := reachFrom(h, site, sites, others)
			begun := time.Now()
			out, err := a.Ask(groupCtx, h, strings.NewReader(script("preflight.sh")), preflightWords(h, site, targets)...)
			took := time.Since(begun)
			if groupCtx.Err() != nil {
				return groupCtx.Err()
			}
			var found []Problem
			var said *answer
			if err == nil {
				said, err = parseAnswer(out)
			}
			if err != nil {
				found = []Problem{unreached(h, err)}
			} else {
				found = judge(h, site.Site, said, begun, took, targets)
			}
			mu.Lock()
			defer mu.Unlock()
			problems = append(problems, found...)
			answers[h.Name] = said
			done++
			view.Set("preflight", fmt.Sprintf("%d of %d hosts have answered", done, len(hosts)))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	problems = append(problems, duplicates(hosts, answers)...)
	return mergeProblems(problems, hosts), nil
}

func siteOf(sites []*Site, name string) *Site {
	return sites[slices.IndexFunc(sites, func(s *Site) bool { return s.Name == name })]
}

func preflightWords(h Host, site *Site, targets []reachTarget) []string {
	words := []string{"sh", "-s", "--", site.Facts.NodeInterface, strings.Join(nodePorts(h.Role), " ")}
	for _, t := range targets {
		words = append(words, t.endpoint)
	}
	return words
}

// unreached is a host that gave no answer.
func unreached(h Host, err error) Problem {
	p := Problem{Hosts: []string{h.Name}, Message: oneLine(strings.TrimPrefix(err.Error(), h.Name+": ")), Fix: "try it: " + h.Login()}
	if e, ok := errors.AsType[*SSHError](err); ok {
		p.Message, p.Fix = oneLine(e.Reason), e.Fix
	}
	return p
}

// reachTarget is what a host must reach.
type reachTarget struct {
	endpoint string // host:port
	what     string
	warning  bool
}

// reachFrom is what a host must reach: the first server of its own site, and of the
// other sites what the interconnect asks for.
func reachFrom(h Host, site *Site, sites []*Site, others []*fleet.Site) []reachTarget {
	sshPort := func(n fleet.Node, s string) string {
		for _, known := range sites {
			if host, ok := known.Host(n.Name); ok && known.Name == s && host.Port != 0 {
				return strconv.Itoa(host.Port)
			}
		}
		return "22"
	}
	var targets []reachTarget
	if first := site.Servers()[0]; first.Name != h.Name {
		targets = append(targets, reachTarget{net.JoinHostPort(first.Address.String(), sshPort(first.Node, site.Name)), first.Name + ", the first server of its site", false})
	}
	if site.Facts.Interconnect == "wireguard" && !slices.Contains(site.Gateways, h.Name) {
		return targets
	}
	for _, other := range others {
		if other.Name == site.Name || len(other.Nodes) == 0 {
			continue
		}
		if site.Facts.Interconnect != "wireguard" {
			n := other.Nodes[0]
			targets = append(targets, reachTarget{net.JoinHostPort(n.Address.String(), sshPort(n, other.Name)), n.Name + " of " + other.Name, true})
			continue
		}
		for _, n := range other.Nodes {
			if slices.Contains(other.Gateways, n.Name) {
				host, _, err := net.SplitHostPort(n.WireGuardEndpoint)
				if err == nil {
					targets = append(targets, reachTarget{net.JoinHostPort(host, sshPort(n, other.Name)), "gateway " + n.Name + " of " + other.Name, true})
				}
			}
		}
	}
	return targets
}

// answer is what a host said of itself.
type answer struct {
	now                             time.Time
	hostname, kernel, arch, machine string
	os                              map[string]string
	sudo                            string
	addresses                       map[string]netip.Prefix // by interface, the last of several
	on                              map[netip.Addr]string
	interfaceThere                  bool
	listening                       []listener
	cgroups                         map[string]string // by PID
	nameservers, missing            []string
	free                            int64 // KiB
	reached                         map[string]bool
}

type listener struct{ port, users string }

// maxLines bounds an answer.
const maxLines = 2000

// parseAnswer reads what the script says. What a login shell prints before it is
// left out; anything else that is not understood is an error.
func parseAnswer(out []byte) (*answer, error) {
	wrong := func(line string) error {
		return fmt.Errorf("it answers %q, which archipel does not understand", oneLine(line))
	}
	text := string(out)
	_, text, ok := strings.Cut("\n"+text, "\narchipel preflight-1\n")
	if !ok {
		return nil, errors.New("it does not answer as a shell does")
	}
	text, _, ok = strings.Cut(text, "archipel end\n")
	if !ok {
		return nil, errors.New("its answer is cut off")
	}
	a := &answer{os: map[string]string{}, addresses: map[string]netip.Prefix{}, on: map[netip.Addr]string{}, cgroups: map[string]string{}, reached: map[string]bool{}}
	lines := 0
	for line := range strings.Lines(text) {
		if lines++; lines > maxLines {
			return nil, errors.New("it answers more than archipel reads")
		}
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		first, second, _ := strings.Cut(value, " ")
		switch key {
		case "now":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, wrong(line)
			}
			a.now = time.Unix(n, 0)
		case "hostname":
			a.hostname = value
		case "kernel":
			a.kernel = value
		case "arch":
			a.arch = value
		case "machine":
			a.machine = value
		case "os":
			a.os[first] = second
		case "sudo":
			a.sudo = value
		case "address":
			prefix, err := netip.ParsePrefix(second)
			if err != nil {
				// A point-to-point address has no prefix.
				address, err := netip.ParseAddr(second)
				if err != nil {
					return nil, wrong(line)
				}
				prefix = netip.PrefixFrom(address, address.BitLen())
			}
			a.addresses[first], a.on[prefix.Addr()] = prefix, first
		case "interface":
			a.interfaceThere = true
		case "listen":
			a.listening = append(a.listening, listener{first[strings.LastIndex(first, ":")+1:], second})
		case "cgroup":
			a.cgroups[first] = second
		case "missing":
			a.missing = append(a.missing, value)
		case "nameserver":
			a.nameservers = append(a.nameservers, value)
		case "free":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, wrong(line)
			}
			a.free = n
		case "reached", "unreached":
			a.reached[value] = key == "reached"
		default:
			return nil, wrong(line)
		}
	}
	return a, nil
}

// judge says what is wrong with a host.
func judge(h Host, site *fleet.Site, a *answer, begun time.Time, took time.Duration, targets []reachTarget) []Problem {
	var problems []Problem
	add := func(warning bool, fix, format string, args ...any) {
		problems = append(problems, Problem{Hosts: []string{h.Name}, Warning: warning, Message: oneLine(fmt.Sprintf(format, args...)), Fix: fix})
	}
	if a.sudo != "yes" && a.sudo != "root" {
		user := cmp.Or(h.User, "USER")
		add(false, fmt.Sprintf("as root there: echo '%s ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/archipel", user),
			"sudo does not work without a password: %s", strings.TrimPrefix(a.sudo, "no "))
	}
	judgeSystem(h, a, add)
	for _, program := range a.missing {
		add(false, "sudo apt-get install "+packageOf(program), "it has no %s", program)
	}
	// The host has read its clock between the question and the answer, to a second.
	early, late := begun.Sub(a.now)-time.Second, a.now.Sub(begun.Add(took))
	if skew := max(early, late); skew > clockWarning {
		add(skew <= clockError, "sudo timedatectl set-ntp true, there or here", "its clock is %s from the one here", skew.Round(time.Second))
	}
	for _, l := range a.listening {
		name, ours := a.ownerOf(l)
		switch {
		case a.sudo != "yes" && a.sudo != "root": // whose program it is, only root is told
		case l.port == healthPort && name == "cilium-agent", l.port != healthPort && ours:
		case l.port == healthPort:
			add(false, "stop it: Cilium's agent answers there, and dies where another program does", "port %s is taken by %s", l.port, name)
		default:
			add(false, "stop it: k3s needs the port", "port %s is taken by %s", l.port, name)
		}
	}
	judgeAddress(h, site, a, add)
	if !slices.ContainsFunc(a.nameservers, func(s string) bool {
		address, err := netip.ParseAddr(s)
		return err == nil && !address.IsLoopback()
	}) {
		add(true, "name a server of DNS in its netplan, or set resolv-conf of k3s", "it knows no server of DNS but itself: k3s then gives its pods 8.8.8.8")
	}
	if a.free < freeWarning {
		add(a.free >= freeError, "make room: k3s keeps its images and etcd there", "/var/lib has %.1f GiB left", float64(a.free)/(1<<20))
	}
	for _, t := range targets {
		if reached, asked := a.reached[t.endpoint]; !asked || !reached {
			fix := "correct the routes and the firewall between the two"
			if t.warning {
				fix = "nothing, when that site is not up yet; else correct the routes and the firewall between the two"
			}
			add(t.warning, fix, "it does not reach %s at %s", t.what, t.endpoint)
		}
	}
	return problems
}

// packageOf is the package of Ubuntu that holds a program.
func packageOf(program string) string {
	switch program {
	case "ss", "ip":
		return "iproute2"
	case "flock":
		return "util-linux"
	case "timeout":
		return "coreutils"
	}
	return program
}

type adder func(warning bool, fix, format string, args ...any)

func judgeSystem(h Host, a *answer, add adder) {
	id, version := a.os["ID"], a.os["VERSION_ID"]
	debian := id == "debian" && version == "12"
	switch {
	case id == "ubuntu" && version == "24.04", debian && h.AllowDebian:
	case debian:
		add(false, "install Ubuntu Server 24.04, or set node_base_allow_debian: true to try it", "it runs Debian 12, where the roles are not tried but in the lab")
	default:
		add(false, "install Ubuntu Server 24.04", "it runs %s, not Ubuntu 24.04", strings.TrimSpace(cmp.Or(id, "an unknown system")+" "+version))
	}
	if major, minor, ok := kernelVersion(a.kernel); !ok || major < 5 || major == 5 && minor < 10 {
		add(false, "install a kernel from 5.10 on: Cilium needs it", "its kernel is %s, older than 5.10", a.kernel)
	}
	if a.arch != "x86_64" && a.arch != "aarch64" {
		add(false, "k3s and Cilium run on amd64 and arm64", "its processor is %s", a.arch)
	}
}

func judgeAddress(h Host, site *fleet.Site, a *answer, add adder) {
	wanted := site.Facts.NodeInterface
	on, there := a.on[h.Address]
	switch {
	case there && on == wanted:
	case there:
		add(false, "set node_interface: "+on+" for the site, or rename the interface", "its address %s is on %s, not on %s, the node_interface of the site", h.Address, on, wanted)
	case !a.interfaceThere:
		add(false, "correct node_interface, or rename the interface", "it has no interface %s", wanted)
	default:
		has := "none"
		if p, ok := a.addresses[wanted]; ok {
			has = p.Addr().String()
		}
		add(false, "correct ansible_host or node_ip in "+inventoryOf(site.Name), "it does not have the address %s: %s has %s", h.Address, wanted, has)
	}
}

// ownerOf names the program behind a port, and says whether k3s has started it.
func (a *answer) ownerOf(l listener) (name string, ours bool) {
	name = "an unknown program"
	if m := regexp.MustCompile(`\(\("([^"]*)"`).FindStringSubmatch(l.users); m != nil {
		name = m[1]
	}
	pids := regexp.MustCompile(`pid=([0-9]+)`).FindAllStringSubmatch(l.users, -1)
	units := regexp.MustCompile(`/k3s(-agent)?\.service(/|$)`)
	for _, pid := range pids {
		ours = units.MatchString(a.cgroups[pid[1]])
		if !ours {
			break
		}
	}
	return name, ours
}

func kernelVersion(text string) (major, minor int, ok bool) {
	m := regexp.MustCompile(`^([0-9]{1,4})\.([0-9]{1,4})`).FindStringSubmatch(text)
	if m == nil {
		return 0, 0, false
	}
	major, _ = strconv.Atoi(m[1])
	minor, _ = strconv.Atoi(m[2])
	return major, minor, true
}

// duplicates are hosts that cannot be told apart.
func duplicates(hosts []Host, answers map[string]*answer) []Problem {
	var problems []Problem
	by := func(key func(*answer) string, message func(value string) (text, fix string)) {
		groups := map[string][]string{}
		var order []string
		for _, h := range hosts {
			a := answers[h.Name]
			if a == nil || key(a) == "" {
				continue
			}
			if len(groups[key(a)]) == 0 {
				order = append(order, key(a))
			}
			groups[key(a)] = append(groups[key(a)], h.Name)
		}
		for _, value := range order {
			if names := groups[value]; len(names) > 1 {
				text, fix := message(value)
				problems = append(problems, Problem{Hosts: names, Message: oneLine(text), Fix: fix})
			}
		}
	}
	by(func(a *answer) string { return a.machine }, func(string) (string, string) {
		return "they have the same /etc/machine-id: one is a copy of the other, or both are one machine", "correct ansible_host; on a copy: sudo rm /etc/machine-id && sudo systemd-machine-id-setup, then reboot it"
	})
	by(func(a *answer) string { return a.hostname }, func(value string) (string, string) {
		return "all of them say that their hostname is " + value + ", by which k3s tells nodes apart", "on each: sudo hostnamectl set-hostname NAME, with its name in the inventory"
	})
	return problems
}

// mergeProblems puts equal problems of several hosts together: errors first, each
// in the order of the hosts.
func mergeProblems(problems []Problem, hosts []Host) []Problem {
	place := func(name string) int {
		return slices.IndexFunc(hosts, func(h Host) bool { return h.Name == name })
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return place(a.Hosts[0]) - place(b.Hosts[0]) })
	var merged []Problem
	for _, p := range problems {
		i := slices.IndexFunc(merged, func(m Problem) bool {
			return m.Message == p.Message && m.Warning == p.Warning && m.Fix == p.Fix && !slices.Contains(m.Hosts, p.Hosts[0])
		})
		if i < 0 {
			merged = append(merged, p)
			continue
		}
		merged[i].Hosts = append(merged[i].Hosts, p.Hosts...)
	}
	slices.SortStableFunc(merged, func(a, b Problem) int {
		switch {
		case a.Warning == b.Warning:
			return 0
		case a.Warning:
			return 1
		}
		return -1
	})
	return merged
}
