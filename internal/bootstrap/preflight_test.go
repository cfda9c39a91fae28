package bootstrap

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archipel/internal/fleet"
)

// fit is the answer of a server with nothing wrong, to which tests add lines. The
// last line of a key wins.
const fit = `Welcome
archipel preflight-1
now 1790000000
hostname site-a-server-1
kernel 6.8.0-45-generic
arch x86_64
machine 0123456789abcdef0123456789abcdef
os ID ubuntu
os VERSION_ID 24.04
sudo yes
address lo 127.0.0.1/8
address enp1s0 198.51.100.11/24
interface enp1s0
nameserver 127.0.0.53
nameserver 192.0.2.53
free 20000000
`

func TestJudge(t *testing.T) {
	for name, test := range map[string]struct {
		lines string
		want  string // of the only problem; "" when there is none
	}{
		"fit":                {"", ""},
		"sudo":               {"sudo no sudo: a password is required", "error: sudo does not work without a password: sudo: a password is required"},
		"sudo and ports":     {"sudo no sudo: no\nlisten *:6443 ", "error: sudo does not work without a password: sudo: no"},
		"root":               {"sudo root", ""},
		"Debian":             {"os ID debian\nos VERSION_ID 12", "error: it runs Debian 12"},
		"Ubuntu 22.04":       {"os VERSION_ID 22.04", "error: it runs ubuntu 22.04, not Ubuntu 24.04"},
		"no system":          {"os ID \nos VERSION_ID ", "error: it runs an unknown system"},
		"kernel":             {"kernel 5.4.0-1", "error: its kernel is 5.4.0-1, older than 5.10"},
		"kernel 5.10":        {"kernel 5.10.0", ""},
		"no kernel":          {"kernel x", "error: its kernel is x"},
		"processor":          {"arch riscv64", "error: its processor is riscv64"},
		"clock behind":       {"now 1789999900", "error: its clock is 1m39s from the one here"},
		"clock ahead":        {"now 1790000010", "warning: its clock is 9s from the one here"},
		"busy port":          {"listen 0.0.0.0:6443 users:((\"nginx\",pid=12,fd=3))\ncgroup 12 0::/system.slice/nginx.service", "error: port 6443 is taken by nginx"},
		"k3s itself":         {"listen *:6443 users:((\"k3s-server\",pid=12,fd=3))\ncgroup 12 0::/system.slice/k3s.service", ""},
		"like k3s":           {"listen *:6443 users:((\"x\",pid=12,fd=3))\ncgroup 12 0::/system.slice/notk3s.service", "error: port 6443 is taken by x"},
		"k3s in a container": {"listen *:2379 users:((\"etcd\",pid=12,fd=3))\ncgroup 12 0::/machine/abc/system.slice/k3s.service", ""},
		"who knows":          {"listen *:10250 ", "error: port 10250 is taken by an unknown program"},
		"kube-proxy":         {"listen *:10256 users:((\"kube-proxy\",pid=12,fd=3))\ncgroup 12 0::/system.slice/k3s.service", "error: port 10256 is taken by kube-proxy"},
		"cilium":             {"listen *:10256 users:((\"cilium-agent\",pid=12,fd=3))\ncgroup 12 0::/kubepods/x", ""},
		"other interface":    {"address eth9 198.51.100.11/24", "error: its address 198.51.100.11 is on eth9, not on enp1s0"},
		"disk":               {"free 1000", "error: /var/lib has 0.0 GiB left"},
		"little disk":        {"free 9000000", "warning: /var/lib has 8.6 GiB left"},
		"unreached":          {"unreached 203.0.113.11:22", "warning: it does not reach gateway b of site-b at 203.0.113.11:22"},
		"no program":         {"missing ss", "error: it has no ss"},
	} {
		t.Run(name, func(t *testing.T) {
			targets := []reachTarget{{"203.0.113.11:22", "gateway b of site-b", true}}
			a, err := parseAnswer([]byte(fit + "reached 203.0.113.11:22\n" + test.lines + "\narchipel end\n"))
			if err != nil {
				t.Fatal(err)
			}
			site := testSite()
			problems := judge(site.Hosts[0], site.Site, a, time.Unix(1790000000, 0), time.Second, targets)
			if test.want == "" {
				check(t, "problems", problems, []Problem(nil))
				return
			}
			if len(problems) != 1 || !strings.HasPrefix(problemLine(problems[0]), test.want) || problems[0].Fix == "" {
				t.Errorf("got %+v", problems)
			}
		})
	}
}

func problemLine(p Problem) string {
	word := "error"
	if p.Warning {
		word = "warning"
	}
	return word + ": " + p.Message
}

func TestJudgeAddress(t *testing.T) {
	site := testSite()
	for name, test := range map[string]struct{ old, new, want string }{
		"no interface": {"address enp1s0 198.51.100.11/24\ninterface enp1s0\n", "", "it has no interface enp1s0"},
		"other":        {"198.51.100.11/24", "198.51.100.99/24", "it does not have the address 198.51.100.11: enp1s0 has 198.51.100.99"},
		"no DNS":       {"nameserver 192.0.2.53\n", "", "it knows no server of DNS but itself"},
	} {
		a, err := parseAnswer([]byte(strings.Replace(fit, test.old, test.new, 1) + "archipel end\n"))
		if err != nil {
			t.Fatal(err)
		}
		problems := judge(site.Hosts[0], site.Site, a, time.Unix(1790000000, 0), time.Second, nil)
		if len(problems) != 1 || !strings.Contains(problems[0].Message, test.want) {
			t.Errorf("%s: got %+v", name, problems)
		}
	}
}

func TestParseAnswerRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":     "",
		"cut off":     fit,
		"unknown":     fit + "rm -rf /\narchipel end\n",
		"no time":     fit + "now today\narchipel end\n",
		"no address":  fit + "address lo x\narchipel end\n",
		"no number":   fit + "free lots\narchipel end\n",
		"too long":    fit + strings.Repeat("nameserver 192.0.2.1\n", maxLines) + "archipel end\n",
		"not a shell": "This account is currently not available.\n",
	} {
		if _, err := parseAnswer([]byte(text)); err == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
	}
}

// The script itself, in the shells that are at hand.
func TestPreflightScript(t *testing.T) {
	for _, shell := range []string{"sh", "bash", "dash"} {
		a := testAnsible(t, "")
		out, err := a.Ask(t.Context(), testSite().Hosts[0], strings.NewReader(script("preflight.sh")), shell, "-s", "--", "lo", "6443 10256", "127.0.0.1:1")
		if err != nil {
			t.Logf("%s: %v", shell, err)
			continue
		}
		said, err := parseAnswer(out)
		if err != nil {
			t.Fatalf("%s: %v\n%s", shell, err, out)
		}
		hostname, _ := os.Hostname()
		if said.hostname != hostname || said.kernel == "" || said.free == 0 || !said.interfaceThere || said.sudo == "" || time.Since(said.now).Abs() > time.Minute {
			t.Errorf("%s: got %+v", shell, said)
		}
		if len(said.missing) == 0 && !said.reached["127.0.0.1:1"] { // refused, so reached
			t.Errorf("%s: %s", shell, out)
		}
	}
}

func TestPreflight(t *testing.T) {
	site := testSite()
	a := testAnsible(t, "", "FAKE_DEAD=198.51.100.12")
	problems, err := a.Preflight(t.Context(), site.Hosts, []*Site{site}, []*fleet.Site{site.Site}, &recorder{})
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, p := range problems {
		all += fmt.Sprintf("%s: %s\n", strings.Join(p.Hosts, ","), problemLine(p))
	}
	for _, want := range []string{
		"site-a-server-2: error: nothing answers at 198.51.100.12",
		"site-a-server-1,site-a-agent-1: error: all of them say that their hostname is",
		"site-a-server-1,site-a-agent-1: error: it has no interface enp1s0",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("it is not said that %s:\n%s", want, all)
		}
	}
	if _, err := os.Stat(filepath.Join(a.Cache, "facts")); err == nil {
		t.Error("something was written")
	}
}

func TestReachFrom(t *testing.T) {
	site := testSite()
	other := &fleet.Site{Name: "site-b", Gateways: []string{"b"}, Nodes: []fleet.Node{{Name: "b", Address: site.Nodes[0].Address, WireGuardEndpoint: "vpn.example.org:51820"}}}
	endpoints := func(h Host) string {
		var all []string
		for _, target := range reachFrom(h, site, []*Site{site}, []*fleet.Site{site.Site, other}) {
			all = append(all, target.endpoint)
		}
		return strings.Join(all, " ")
	}
	check(t, "gateway", endpoints(site.Hosts[0]), "vpn.example.org:22")
	check(t, "agent", endpoints(site.Hosts[2]), "198.51.100.11:22")
	site.Facts.Interconnect = "none"
	check(t, "agent, routed", endpoints(site.Hosts[2]), "198.51.100.11:22 198.51.100.11:22")
}
