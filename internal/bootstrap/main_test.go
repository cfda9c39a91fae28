package bootstrap

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"archipel/internal/fleet"
)

// recorder is a View that remembers.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) add(kind, name, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, strings.TrimSpace(kind+" "+name+": "+text))
}

func (r *recorder) Set(name, text string)  { r.add("set", name, text) }
func (r *recorder) Done(name, text string) { r.add("done", name, text) }
func (r *recorder) Fail(name, text string) { r.add("fail", name, text) }
func (r *recorder) Print(text string)      { r.add("print", "", text) }

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

// testSite is a site of two servers and an agent.
func testSite() *Site {
	facts := fleet.Facts{
		NodeInterface: "enp1s0", Interconnect: "wireguard", K3sVersion: "v1.36.4+k3s1",
		NodeCIDR: netip.MustParsePrefix("198.51.100.0/24"), PodCIDR: netip.MustParsePrefix("10.64.0.0/16"),
	}
	site := &fleet.Site{Name: "site-a", Facts: facts, Gateways: []string{"site-a-server-1"}}
	s := &Site{Site: site}
	for i, name := range []string{"site-a-server-1", "site-a-server-2", "site-a-agent-1"} {
		role := fleet.RoleServer
		if i == 2 {
			role = fleet.RoleAgent
		}
		address := netip.AddrFrom4([4]byte{198, 51, 100, byte(11 + i)})
		site.Nodes = append(site.Nodes, fleet.Node{Name: name, Role: role, Address: address, SSHHost: address.String(), WireGuardEndpoint: address.String() + ":51820"})
	}
	for _, n := range site.Nodes {
		s.Hosts = append(s.Hosts, Host{Node: n, Site: "site-a", User: "ansible"})
	}
	return s
}

// fakeSSH runs what a host should run on this machine: it takes the same arguments as
// ssh, and leaves out the connection. $FAKE_DEAD names addresses that do not answer.
const fakeSSH = `#!/bin/sh
while test "$1" != --; do shift; done
shift
host=$1
shift
case " $FAKE_DEAD " in *" $host "*) echo "ssh: connect to host $host port 22: Connection timed out" >&2; exit 255 ;; esac
exec sh -c "$*"
`

// fakeSudo is sudo of a user who may do all.
const fakeSudo = `#!/bin/sh
while :; do case $1 in -n) shift ;; --) shift; break ;; *) break ;; esac; done
exec "$@"
`

// testAnsible is an Ansible of scripts: ssh runs on this machine, and playbook is the
// text of ansible-playbook.
func testAnsible(t *testing.T, playbook string, env ...string) *Ansible {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"ssh": fakeSSH, "sudo": fakeSudo, "ansible-playbook": playbook} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &Ansible{
		Playbook: filepath.Join(dir, "ansible-playbook"), SSH: filepath.Join(dir, "ssh"), Dir: dir, Cache: dir,
		Environ: append([]string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir}, env...),
	}
}

// unlikely is a text that is nowhere but in a secret.
const unlikely = "canary-5f1d0c9e7b"

// check fails when got is not want.
func check(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s: got\n%s\nwant\n%s", what, g, w)
	}
}

func contextWithCause(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	return context.WithCancelCause(ctx)
}
