package playbooks

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// tree is kubernetes/ansible, from here.
const tree = "../../kubernetes/ansible"

// ansiblePlaybook returns the real program.
func ansiblePlaybook(t *testing.T) string {
	t.Helper()
	if program := os.Getenv("ARCHIPEL_ANSIBLE_PLAYBOOK"); program != "" {
		return program
	}
	program, err := exec.LookPath("ansible-playbook")
	if err != nil {
		t.Skip("ansible-playbook is neither in PATH nor named by ARCHIPEL_ANSIBLE_PLAYBOOK")
	}
	return program
}

// vars are variables.
type vars map[string]any

// site is an inventory with servers and agents.
func site(servers, agents int, common vars) map[string]any {
	all := vars{
		"k3s_version": "v1.36.4+k3s1", "node_cidr": "198.51.100.0/24", "pod_cidr": "10.64.0.0/16", "service_cidr": "10.128.0.0/16",
		"interconnect": "none", "node_interface": "enp1s0",
		"ansible_python_interpreter": "{{ ansible_playbook_python }}", "k3s_server_token": "token-of-servers", "k3s_agent_token": "token-of-agents",
	}
	for name, value := range common {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	hosts := func(role string, n, first int) vars {
		group := vars{}
		for i := range n {
			group[fmt.Sprintf("%s-%d", role, i+1)] = vars{"ansible_host": fmt.Sprintf("198.51.100.%d", first+i)}
		}
		return vars{"hosts": group}
	}
	return vars{"all": vars{"vars": all, "children": vars{"servers": hosts("server", servers, 11), "agents": hosts("agent", agents, 21)}}}
}

// linked are the variables of a site with a peer.
func linked(gateways ...string) vars {
	return vars{
		"interconnect": "wireguard", "site_link_gateways": gateways,
		"wireguard_private_keys": vars{"server-1": "PRIVATE-KEY-OF-server-1", "server-2": "PRIVATE-KEY-OF-server-2"},
		"site_link_peers": []vars{{
			"name": "site-b", "node_cidr": "203.0.113.0/24", "pod_cidr": "10.65.0.0/16",
			"gateways": []vars{{"name": "b-1", "endpoint": "203.0.113.11:51820", "public_key": "PUBLIC-KEY-OF-b-1"}},
		}},
	}
}

// event is a line of the callback plugin.
type event struct {
	Event, Host, Task, Role, Path, Msg string
}

// run runs a playbook on an inventory. It returns the events and what was printed.
func run(t *testing.T, playbook string, inventory any, args ...string) ([]event, []byte, string, error) {
	t.Helper()
	program := ansiblePlaybook(t)
	home := t.TempDir()
	content, err := json.Marshal(inventory)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, "inventory.yml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(playbook)
	if err != nil {
		t.Fatal(err)
	}
	config, err := filepath.Abs(filepath.Join(tree, "ansible.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	events, err := os.Create(filepath.Join(home, "events"))
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	cmd := exec.Command(program, append([]string{"-i", file, path}, args...)...)
	cmd.Dir = tree
	cmd.ExtraFiles = []*os.File{events}
	cmd.Env = append(os.Environ(), "HOME="+home, "ANSIBLE_CONFIG="+config, "ANSIBLE_CACHE_PLUGIN_CONNECTION="+filepath.Join(home, "facts"),
		"ARCHIPEL_EVENTS_FD=3", "LC_ALL=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1")
	out, failure := cmd.CombinedOutput()
	lines, err := os.ReadFile(events.Name())
	if err != nil {
		t.Fatal(err)
	}
	var all []event
	for line := range strings.Lines(string(lines)) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, e)
	}
	return all, lines, string(out), failure
}
