package hosts

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"archipel/internal/fleet"
)

// site is a site with nodes at these addresses of a network.
func site(name string, id int, network string, ranges []fleet.Range, addresses ...string) *fleet.Site {
	s := &fleet.Site{Name: name, Facts: fleet.Facts{
		ClusterID: id, NodeCIDR: netip.MustParsePrefix(network), NodeInterface: "enp1s0", LoadBalancerRanges: ranges,
	}}
	for i, address := range addresses {
		s.Nodes = append(s.Nodes, fleet.Node{
			Name: fmt.Sprintf("%s-server-%d", name, i+1), Role: fleet.RoleServer,
			Address: netip.MustParseAddr(address), SSHHost: address,
		})
	}
	return s
}

func addresses(first, last string) fleet.Range {
	return fleet.Range{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
}

func TestPlanChoosesAddresses(t *testing.T) {
	for name, test := range map[string]struct {
		network            string
		nodes              []string
		ranges             []fleet.Range
		router, controller string
	}{
		"the last two":          {"198.51.100.0/24", []string{"198.51.100.11"}, nil, "198.51.100.254", "198.51.100.253"},
		"around nodes":          {"198.51.100.0/24", []string{"198.51.100.254", "198.51.100.252"}, nil, "198.51.100.253", "198.51.100.251"},
		"around load balancers": {"198.51.100.0/24", []string{"198.51.100.11"}, []fleet.Range{addresses("198.51.100.200", "198.51.100.254")}, "198.51.100.199", "198.51.100.198"},
		"half a network":        {"198.51.100.0/25", []string{"198.51.100.11"}, nil, "198.51.100.126", "198.51.100.125"},
		"a host in the network": {"198.51.100.9/24", []string{"198.51.100.11"}, nil, "198.51.100.254", "198.51.100.253"},
		"over a byte":           {"198.18.0.0/15", []string{"198.18.0.11"}, nil, "198.19.255.254", "198.19.255.253"},
		"full":                  {"198.51.100.8/30", []string{"198.51.100.9"}, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			sites, err := Plan(&fleet.Fleet{Sites: []*fleet.Site{site("site-a", 1, test.network, test.ranges, test.nodes...)}})
			if test.router == "" {
				if err == nil || !strings.Contains(err.Error(), "no two free addresses") {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := sites[0]; s.Router.String() != test.router || s.Controller.String() != test.controller {
				t.Errorf("router %s, controller %s", s.Router, s.Controller)
			}
		})
	}
}

func TestPlanWantsOneAddress(t *testing.T) {
	s := site("site-a", 1, "198.51.100.0/24", nil, "198.51.100.11")
	s.Nodes[0].SSHHost = "node.example.org"
	if _, err := Plan(&fleet.Fleet{Sites: []*fleet.Site{s}}); err == nil || !strings.Contains(err.Error(), "node.example.org") {
		t.Errorf("got %v", err)
	}
}

// Linux allows 15 bytes for the name of a link.
func TestNamesOfLinks(t *testing.T) {
	s := Site{Name: strings.Repeat("a", 63), ID: 511}
	h := Host{Name: strings.Repeat("b", 63), Address: netip.MustParseAddr("255.255.255.255")}
	for _, name := range []string{s.bridge(), s.bridge() + "r", h.link()} {
		if len(name) > 15 {
			t.Errorf("%s has %d bytes", name, len(name))
		}
	}
}

func plan(t *testing.T) []Site {
	t.Helper()
	sites, err := Plan(&fleet.Fleet{Sites: []*fleet.Site{
		site("site-a", 1, "198.51.100.0/24", nil, "198.51.100.11"),
		site("site-b", 2, "203.0.113.0/24", nil, "203.0.113.11"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return sites
}

func TestNetworkOfAHost(t *testing.T) {
	s := plan(t)[0]
	want := `ip link del hostc633640b 2>/dev/null || true
ip netns del site-a-server-1 2>/dev/null || true
ip netns add site-a-server-1
ip link add hostc633640b type veth peer name enp1s0 address 02:61:c6:33:64:0b netns site-a-server-1
ip link set hostc633640b master site1 up
ip -n site-a-server-1 link set lo up
ip -n site-a-server-1 addr add 198.51.100.11/24 dev enp1s0
ip -n site-a-server-1 link set enp1s0 up
ip -n site-a-server-1 route add default via 198.51.100.254
nsenter --net=/run/netns/site-a-server-1 sysctl -qw net.ipv4.ip_forward=0
`
	if got := s.connectHost(s.Hosts[0]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFaults(t *testing.T) {
	sites := plan(t)
	var faults []Fault
	for _, step := range []struct {
		a, b string
		loss int
		want string
	}{
		{"site-a", "site-b", 30, `iifname "site1" oifname "site2" numgen random mod 100 < 30 drop|iifname "site2" oifname "site1" numgen random mod 100 < 30 drop`},
		{"site-b", "site-a", 100, `iifname "site2" oifname "site1" drop|iifname "site1" oifname "site2" drop`},
		{"site-a", "site-c", 100, `iifname "site2" oifname "site1" drop|iifname "site1" oifname "site2" drop`}, // no such site
		{"site-a", "site-b", 0, ""},
	} {
		faults = Change(faults, step.a, step.b, step.loss)
		var got []string
		for line := range strings.Lines(rules(sites, faults)) {
			if strings.Contains(line, "iifname") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		if strings.Join(got, "|") != step.want {
			t.Errorf("%s, %s, %d: got %q", step.a, step.b, step.loss, got)
		}
	}
}

func TestRun(t *testing.T) {
	h := Host{Name: "site-a-server-1"}
	c := Container{Image: "/cache/image", Own: "/state/own", Programs: "/cache/programs", Cgroups: "/lab", Group: "/state", Site: "site-a"}
	want := "podman run --detach --name site-a-server-1 --hostname site-a-server-1 --privileged --systemd=always --pids-limit=-1 --cgroup-parent /lab" +
		" --network ns:/run/netns/site-a-server-1 --dns=none --volume /state/own:/etc/archipel-lab:ro --volume /cache/programs:/opt/archipel-lab:ro" +
		" --env ARCHIPEL_DAEMON_GROUP=/state --env ARCHIPEL_DAEMON_NAME=site-a/site-a-server-1 --rootfs /cache/image:O /usr/lib/archipel-lab/init"
	if got := strings.Join(c.run(h), " "); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	c.Limits = Limits{Files: 20000, Processes: 1000}
	if got := strings.Join(c.run(h), " "); !strings.Contains(got, "--ulimit nofile=20000:20000 --ulimit nproc=1000:1000") {
		t.Errorf("got %s", got)
	}
}

func TestCapable(t *testing.T) {
	for status, want := range map[string]bool{
		"CapEff:\t000001ffffffffff\n": true,
		"CapEff:\t000001fffeffffff\n": false,
		"CapEff:\t0000000001000000\n": true,
	} {
		if got, err := capable("Name:\tx\nCapPrm:\t0\n"+status, 24); err != nil || got != want {
			t.Errorf("%q: %v, %v", status, got, err)
		}
	}
	for _, status := range []string{"", "CapEff:\tnone\n"} {
		if _, err := capable(status, 24); err == nil {
			t.Errorf("%q gives no error", status)
		}
	}
}

func TestListens(t *testing.T) {
	table := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:2121 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:2121 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
`
	for port, want := range map[int]bool{0x2121: true, 0x1F90: false, 0x21: false} {
		if listens(table, port) != want {
			t.Errorf("port %d: want %v", port, want)
		}
	}
}

func TestParseRelease(t *testing.T) {
	for text, want := range map[string]string{
		"ID=debian\nVERSION_CODENAME=bookworm\n":           "debian bookworm",
		"ID=\"ubuntu\"\nVERSION_CODENAME='noble'\nA=b\n":   "ubuntu noble",
		"ID=debian\nVERSION_CODENAME=bullseye\n":           "",
		"ID=fedora\nVERSION_CODENAME=\"\"\nNAME=Fedora 44": "",
		"": "",
	} {
		r, err := parseRelease(text)
		if got := r.ID + " " + r.Codename; (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

func TestMachineSources(t *testing.T) {
	release := Release{"debian", "bookworm"}
	main := "Types: deb\nURIs: http://mirror.example.org/debian\nSuites: bookworm bookworm-updates\nComponents: main"
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"lines": {
			map[string]string{"sources.list": "# deb of old\ndeb http://mirror.example.org/debian bookworm main contrib\ndeb-src http://mirror.example.org/debian bookworm main\n"},
			[]string{"deb http://mirror.example.org/debian bookworm main contrib\n"},
		},
		"stanzas": {
			map[string]string{"sources.list.d/debian.sources": main + "\n\n" + strings.Replace(main, "Types: deb", "Types: deb-src", 1) + "\n"},
			[]string{main + "\n"},
		},
		"both, and those of programs": {
			map[string]string{
				"sources.list":                 "deb [arch=amd64] http://mirror.example.org/debian bookworm-security main\n",
				"sources.list.d/a.sources":     main + "\n",
				"sources.list.d/program.list":  "deb http://program.example.org stable main\ndeb http://other.example.org bookworm stable\n",
				"sources.list.d/old.sources":   main + "\nEnabled: no\n",
				"sources.list.d/b.list.backup": "deb http://gone.example.org bookworm main\n",
			},
			[]string{"deb [arch=amd64] http://mirror.example.org/debian bookworm-security main\n", main + "\n"},
		},
		"none": {map[string]string{"sources.list": "deb http://mirror.example.org/debian trixie main\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range test.files {
				path := filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := machineSources(dir, release)
			if (err == nil) != (test.want != nil) || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
