package playbooks

import (
	"strings"
	"testing"
)

// Wrong inputs end in one message for a host, before anything is laid down.
func TestWrongInputs(t *testing.T) {
	tests := []struct {
		name, role string
		vars       vars
		want       string
	}{
		{"no token", "k3s_server", vars{"k3s_server_token": nil}, "missing required arguments: k3s_server_token"},
		{"empty token", "k3s_server", vars{"k3s_agent_token": ""}, "k3s_server_token and k3s_agent_token are not decrypted"},
		{"encrypted token", "k3s_server", vars{"k3s_server_token": "ENC[AES256_GCM,data:x]"}, "k3s_server_token and k3s_agent_token are not decrypted"},
		{"unknown choice", "k3s_server", vars{"k3s_server_pod_security": "strict"}, "value of k3s_server_pod_security must be one of: restricted, baseline, privileged, got: strict"},
		{"no number", "k3s_server", vars{"k3s_server_snapshot_retention": "many"}, "k3s_server_snapshot_retention"},
		{"no fact", "k3s_server", vars{"service_cidr": nil}, "missing required arguments: service_cidr"},
		{"unknown interconnect", "site_link", vars{"interconnect": "vpn"}, "value of interconnect must be one of: wireguard, none, got: vpn"},
		{"no key", "site_link", with(linked("server-1"), "wireguard_private_keys", vars{}), "wireguard_private_keys has no decrypted key for server-1"},
		{"encrypted key", "site_link", with(linked("server-1"), "wireguard_private_keys", vars{"server-1": "ENC[x]"}), "wireguard_private_keys has no decrypted key for server-1"},
		{"peer without key", "site_link", with(linked("server-1"), "site_link_peers", []vars{{"name": "site-b"}}), "missing required arguments: gateways, node_cidr, pod_cidr"},
		{"unknown firewall", "node_base", vars{"node_base_firewall": "on"}, "value of node_base_firewall must be one of: off, rules, got: on"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			events, _, output, err := run(t, "testdata/wrong.yml", site(1, 0, test.vars), "--check", "-e", "wrong_role="+test.role)
			if err == nil {
				t.Fatalf("nothing is wrong:\n%s", output)
			}
			var said []string
			for _, e := range events {
				if e.Event == "failed" {
					said = append(said, e.Msg)
				}
			}
			if len(said) != 1 || !strings.Contains(said[0], test.want) {
				t.Errorf("said %q, want one message with %q\n%s", said, test.want, output)
			}
		})
	}
}

func with(v vars, name string, value any) vars {
	v[name] = value
	return v
}

// The playbook that needs no hosts takes the inventories of the tree as they are.
func TestValidate(t *testing.T) {
	for name, inventory := range map[string]any{"routed": site(3, 2, nil), "wireguard": site(1, 1, linked("server-1"))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, output, err := run(t, tree+"/playbooks/validate.yml", inventory); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
	t.Run("wrong", func(t *testing.T) {
		t.Parallel()
		_, _, output, err := run(t, tree+"/playbooks/validate.yml", site(1, 1, vars{"interconnect": "vpn"}))
		if err == nil || !strings.Contains(output, "value of interconnect must be one of") {
			t.Errorf("%v\n%s", err, output)
		}
	})
}
