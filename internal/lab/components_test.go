package lab

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// fixedLayout is a site with paths that are the same everywhere.
func fixedLayout() layout {
	return layout{
		site: testSite("site-a", 1), address: siteAddress(12, 1), upstream: upstreamAddress(12),
		dir: "/lab/sites/site-a", group: "/lab", caFile: "/lab/upstream-ca.pem",
		pki: pki{dir: "/lab/sites/site-a/pki"}, programs: programsIn("/cache"),
	}
}

func TestComponentsGolden(t *testing.T) {
	var got bytes.Buffer
	s := fixedLayout()
	for _, name := range Components() {
		p := s.component(name)
		fmt.Fprintf(&got, "%s\n  ports %v\n  ready %d\n  group %s\n  log %s\n", p.daemon.Name, p.ports, p.ready, p.daemon.Group, p.daemon.Log)
		for _, variable := range p.daemon.Env {
			fmt.Fprintf(&got, "  env %s\n", variable)
		}
		fmt.Fprintf(&got, "  run %s\n", p.daemon.Path)
		for _, arg := range p.daemon.Args {
			fmt.Fprintf(&got, "    %s\n", arg)
		}
	}
	const golden = "testdata/components.golden"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s", &got, want)
	}
}

// Two programs of a site, or of two sites, never want the same port.
func TestPortsAreUnique(t *testing.T) {
	seen := map[netip.AddrPort]string{}
	use := func(address netip.AddrPort, who string) {
		if other, taken := seen[address]; taken {
			t.Errorf("%v is for %s and for %s", address, other, who)
		}
		seen[address] = who
	}
	use(netip.AddrPortFrom(upstreamAddress(12), upstreamPort), "upstream")
	use(netip.AddrPortFrom(upstreamAddress(12), proxyPort), "proxy")
	for id, name := range []string{"site-a", "site-b"} {
		s := fixedLayout()
		s.site, s.address = testSite(name, id+1), siteAddress(12, id+1)
		for _, component := range Components() {
			p := s.component(component)
			for _, port := range p.ports {
				use(netip.AddrPortFrom(s.address, uint16(port)), p.daemon.Name)
			}
			if p.ready != 0 && !slices.Contains(p.ports, p.ready) {
				t.Errorf("%s is asked on port %d, which is not checked", p.daemon.Name, p.ready)
			}
		}
	}
}

// Everybody on the machine can read a command line, and what a program gets of
// the user's environment it may log.
func TestCommandLinesHoldNoSecret(t *testing.T) {
	l := newLab(t)
	l.config.Environment = append(l.config.Environment, "CLOUD_TOKEN=canary-of-the-user")
	makeSecrets(t, l, "site-a", "site-b")
	secrets := canaries(t, l)
	secrets["user's environment"] = "canary-of-the-user"
	certificates := newPKI(t, l.siteDir("site-a")+"/pki")
	for name, content := range contents(t, certificates.dir) {
		if strings.HasSuffix(name, ".key") {
			secrets[name] = strings.Split(content, "\n")[1]
		}
	}
	if len(secrets) < 8 {
		t.Fatalf("only %d secrets", len(secrets))
	}
	s := fixedLayout()
	s.dir, s.group, s.caFile, s.pki = l.siteDir("site-a"), l.dir, l.upstreamCA(), certificates
	for _, component := range Components() {
		daemon := s.component(component).daemon
		all := strings.Join(append(append([]string{daemon.Path, daemon.Name, daemon.Group, daemon.Log}, daemon.Args...), daemon.Env...), "\n")
		for kind, canary := range secrets {
			if strings.Contains(all, canary) {
				t.Errorf("%s is started with the %s", component, kind)
			}
		}
		for _, variable := range daemon.Env {
			name, value, _ := strings.Cut(variable, "=")
			if !slices.Contains([]string{"HOME", "TMPDIR", "KUBECONFIG", "RUNTIME_NAMESPACE", "HTTPS_PROXY", "SSL_CERT_FILE"}, name) || value == "" {
				t.Errorf("%s gets %s", component, variable)
			}
		}
	}
}

// Nothing but what a lab serves on loopback addresses may be listened on.
func TestComponentsListenOnLoopback(t *testing.T) {
	s := fixedLayout()
	for _, component := range Components() {
		for _, arg := range s.component(component).daemon.Args {
			flag, value, _ := strings.Cut(arg, "=")
			for _, kind := range []string{"listen", "bind", "health-addr", "events-addr", "storage-addr", "receiverAddr", "server-address", "advertise-client", "advertise-peer"} {
				if strings.Contains(flag, kind) && !strings.Contains(value, s.address.String()) {
					t.Errorf("%s: %s", component, arg)
				}
			}
		}
	}
}

func TestNodes(t *testing.T) {
	objects := nodes(fixedLayout())
	if len(objects) != 2 {
		t.Fatalf("%d nodes", len(objects))
	}
	for i, want := range []struct {
		name, address string
		server        bool
	}{{"site-a-server-1", "198.51.100.11", true}, {"site-a-agent-1", "198.51.100.21", false}} {
		labels := objects[i].GetLabels()
		if _, server := labels["node-role.kubernetes.io/control-plane"]; objects[i].GetName() != want.name || server != want.server {
			t.Errorf("node %d is %s with %v", i, objects[i].GetName(), labels)
		}
		status, _ := objects[i].Object["status"].(map[string]any)
		addresses := fmt.Sprint(status["addresses"])
		for _, part := range []string{"address:" + want.address + " type:InternalIP", "address:127.12.0.1 type:InternalDNS"} {
			if !strings.Contains(addresses, part) {
				t.Errorf("%s has the addresses %s", want.name, addresses)
			}
		}
	}
}
