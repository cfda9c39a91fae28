package playbooks

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archipel/internal/archtest"
)

// TestRender compares what the roles would lay down with golden files: all of it for the
// first server, and for the others what differs from the host before.
func TestRender(t *testing.T) {
	watched := linked("server-1", "server-2")
	userspace := linked("server-1")
	userspace["site_link_userspace"] = true
	tests := []struct {
		name            string
		servers, agents int
		vars            vars
	}{
		{"1-server-routed", 1, 0, nil},
		{"3-servers-5-agents-routed", 3, 5, nil},
		{"1-server-5-agents-wireguard", 1, 5, linked("server-1")},
		{"3-servers-wireguard-two-gateways", 3, 0, watched},
		{"1-server-wireguard-go", 1, 0, userspace},
		{"settings", 1, 1, vars{
			"cluster_dns": "10.128.0.53", "k3s_resolv_conf": "/etc/resolv.pods.conf", "k3s_server_tls_sans": []string{"api.example.org"},
			"k3s_server_s3":            vars{"bucket": "snapshots", "endpoint": "s3.example.org", "folder": "site-a"},
			"k3s_server_s3_access_key": "access", "k3s_server_s3_secret_key": "secret", "node_base_ntp_servers": []string{"ntp.example.org"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			given := maps.Clone(test.vars)
			if given == nil {
				given = vars{}
			}
			given["render_out"] = out
			var extra []string
			if given["site_link_userspace"] != nil {
				extra = []string{"-e", "site_link_userspace=true"}
			}
			if _, _, output, err := run(t, "testdata/render.yml", site(test.servers, test.agents, given), extra...); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			var golden strings.Builder
			last := map[string]string{}
			for _, host := range hostNames(test.servers, test.agents) {
				for _, f := range files(t, filepath.Join(out, host)) {
					text := f.String()
					if last[f.Dest] != text {
						fmt.Fprintf(&golden, "==== %s %s", host, text)
					}
					last[f.Dest] = text
				}
			}
			archtest.Generated(t, filepath.Join("testdata", test.name+".golden"), []byte(golden.String()), *update)
		})
	}
}

func hostNames(servers, agents int) []string {
	var names []string
	for i := range servers {
		names = append(names, fmt.Sprintf("server-%d", i+1))
	}
	for i := range agents {
		names = append(names, fmt.Sprintf("agent-%d", i+1))
	}
	return names
}

// laid is a file that a role lays down.
type laid struct {
	Dest, Content, Secret, Link, Mode, Group string
	Directory, Block, Keep                   bool
	Then                                     []string
}

func files(t *testing.T, name string) []laid {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var all []laid
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatalf("%v: %s", err, content)
	}
	return all
}

func (f laid) String() string {
	var b strings.Builder
	b.WriteString(f.Dest)
	for _, word := range []struct {
		is   bool
		text string
	}{
		{f.Directory, "folder"}, {f.Link != "", "-> " + f.Link}, {f.Block, "block"}, {f.Keep, "stays"}, {f.Secret != "", "secret"},
		{f.Mode != "", f.Mode}, {f.Group != "", f.Group}, {len(f.Then) > 0, "then " + strings.Join(f.Then, ", ")},
	} {
		if word.is {
			b.WriteString(" " + word.text)
		}
	}
	b.WriteString("\n")
	if text := f.Content + f.Secret; text != "" {
		b.WriteString(strings.TrimSuffix(text, "\n") + "\n")
	}
	return b.String()
}
