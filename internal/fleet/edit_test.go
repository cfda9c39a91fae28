package fleet

import (
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
)

const commented = `# The nodes of site-a.
all:
  children:
    servers:
      hosts:
        site-a-server-1:   # rack 1
          ansible_host: 198.51.100.11
    agents:
      hosts:
        site-a-agent-1:
          ansible_host: 198.51.100.21
          ansible_port: 2222
        # The spare.
        site-a-agent-2: {ansible_host: 198.51.100.22}

    gateways:
      hosts:
        site-a-agent-1:
        site-a-server-1:
`

func TestAddNode(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		role    Role
		want    string // the lines that were added, after the line before them
		wrong   string
	}{
		"agent":        {commented, RoleAgent, "        site-a-agent-2: {ansible_host: 198.51.100.22}\n        new:\n          ansible_host: 198.51.100.31\n", ""},
		"server":       {commented, RoleServer, "          ansible_host: 198.51.100.11\n        new:\n          ansible_host: 198.51.100.31\n", ""},
		"no newline":   {strings.TrimSuffix("all:\n  children:\n    agents:\n      hosts:\n        a:\n          ansible_host: 198.51.100.21\n", "\n"), RoleAgent, "198.51.100.21\n        new:\n          ansible_host: 198.51.100.31\n", ""},
		"empty group":  {"agents:\n    hosts:\n", RoleAgent, "    hosts:\n      new:\n        ansible_host: 198.51.100.31\n", ""},
		"other indent": {"agents:\n    hosts:\n        a:\n            ansible_host: 198.51.100.21\n", RoleAgent, "        new:\n            ansible_host: 198.51.100.31\n", ""},
		"no group":     {"all:\n", RoleAgent, "", "no single group agents"},
		"braces":       {"agents: {hosts: {a: }}\n", RoleAgent, "", "no single group agents"},
		"no YAML":      {"a: [", RoleAgent, "", "no YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := AddNode([]byte(test.content), "new", netip.MustParseAddr("198.51.100.31"), test.role)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || !strings.Contains(string(got), test.want) {
				t.Fatalf("got %v\n%s", err, got)
			}
			back, err := RemoveNode(got, "new")
			if err != nil || strings.TrimSuffix(string(back), "\n") != strings.TrimSuffix(test.content, "\n") {
				t.Errorf("removing it again gives %v\n%s", err, back)
			}
		})
	}
}

func TestRemoveNode(t *testing.T) {
	got, err := RemoveNode([]byte(commented), "site-a-agent-1")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(commented, "        site-a-agent-1:\n          ansible_host: 198.51.100.21\n          ansible_port: 2222\n", "")
	want = strings.ReplaceAll(want, "        site-a-agent-1:\n", "")
	if string(got) != want {
		t.Errorf("got\n%s", got)
	}
	for name, content := range map[string]string{"absent": commented, "in a range": "agents:\n  hosts:\n    a[1:3]:\n", "in braces": "agents: {hosts: {a1: }}\n"} {
		if _, err := RemoveNode([]byte(content), "a1"); err == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
	}
}

func TestOverlay(t *testing.T) {
	repo := fstest.MapFS{
		"kubernetes/ansible/inventories/fleet.yml":        {Data: []byte("all:\n")},
		"kubernetes/ansible/inventories/site-a/hosts.yml": {Data: []byte("all:\n")},
	}
	f, _ := Load(Overlay(repo, HostsFile("site-a"), []byte(commented)))
	if site, ok := f.Site("site-a"); !ok || len(site.Nodes) != 3 {
		t.Fatalf("got %+v", f)
	}
}

func TestWireGuardEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "198.51.100.11:51820",
		"wireguard_endpoint: 192.0.2.1":     "192.0.2.1:51820",
		"wireguard_endpoint: 192.0.2.1:443": "192.0.2.1:443",
		"wireguard_endpoint: a.example.org": "a.example.org:51820",
		"wireguard_endpoint: a:0":           "198.51.100.11:51820", // and a finding
		"wireguard_endpoint: '[::1]:51820'": "198.51.100.11:51820",
	} {
		repo := fstest.MapFS{HostsFile("site-a"): {Data: []byte("servers:\n  hosts:\n    a:\n      ansible_host: 198.51.100.11\n      " + text + "\n")}}
		f, findings := Load(repo)
		if site, _ := f.Site("site-a"); site.Nodes[0].WireGuardEndpoint != want {
			t.Errorf("%s: got %s; %v", text, site.Nodes[0].WireGuardEndpoint, findings)
		}
	}
}
