package infrastructure

import (
	"strings"
	"testing"
)

const (
	fleetFile = "kubernetes/ansible/inventories/fleet.yml"
	factsFile = "kubernetes/ansible/inventories/site-a/group_vars/all/main.yml"
	hostsFile = "kubernetes/ansible/inventories/site-a/hosts.yml"
	siteA     = "kubernetes/terraform/envs/site-a"
)

// What is wrong in an inventory is one message with a way out, before any hypervisor is asked.
func TestInventoryProblems(t *testing.T) {
	eachTool(t, func(t *testing.T, w *workspace) {
		folder := "kubernetes/terraform/modules/inventory"
		w.must(t, 0, folder, "init", "-input=false", "-no-color")
		for _, test := range []struct{ name, file, from, to, want string }{
			{"an address is missing", hostsFile, "          ansible_host: 198.51.100.22\n", "          disk_gib: 80\n", "site-a-agent-2 has no IPv4 address: give it ansible_host or node_ip in"},
			{"an address twice", hostsFile, "198.51.100.22", "198.51.100.21", "site-a-agent-1 and site-a-agent-2 have the same address 198.51.100.21: change one of them"},
			{"an address elsewhere", hostsFile, "198.51.100.22", "203.0.113.22", "site-a-agent-2 has the address 203.0.113.22, outside of node_cidr 198.51.100.0/24: choose one inside"},
			{"the address of the network", hostsFile, "198.51.100.22", "198.51.100.255", "site-a-agent-2 has the address 198.51.100.255, which is the first or the last"},
			{"the gateway's address", hostsFile, "198.51.100.22", "198.51.100.1", "site-a-agent-2 has the address of the gateway, 198.51.100.1"},
			{"a network too small", factsFile, "node_cidr: 198.51.100.0/24", "node_cidr: 198.51.100.20/30", "node_cidr 198.51.100.20/30 has room for 1 nodes, and there are 3: choose a larger network"},
			{"no network", factsFile, "node_cidr: 198.51.100.0/24", "node_cidr: site-a", `node_cidr is "site-a", which is no IPv4 network`},
			{"an unknown hypervisor", hostsFile, "198.51.100.22\n", "198.51.100.22\n          hypervisor: kvm-7\n", "site-a-agent-2 is on the hypervisor kvm-7, which hypervisors does not list (kvm-1): correct it, or add it there"},
			{"a hypervisor without a call", factsFile, "  kvm-1:\n    uri: qemu:///system", "  kvm-2:\n    uri: qemu:///system", "the environment of site-a has no module call for the hypervisor kvm-2"},
			{"no choice of a hypervisor", factsFile, "  kvm-1:\n", "  kvm-2: {uri: \"qemu:///session\", bridge: br0}\n  kvm-1:\n    bridge: br0\n", "site-a-agent-1 names no hypervisor, and there are 2: give it hypervisor"},
			{"no bridge", factsFile, "  kvm-1:\n", "  kvm-2: {uri: \"qemu:///session\", bridge: br0}\n  kvm-1:\n", "the hypervisor kvm-1 has no bridge, and with several the nodes of a site must share one network"},
			{"no uri", factsFile, "    uri: qemu:///system", "    uri: kvm-1.example.org", "the hypervisor kvm-1 has no uri: give it one"},
			{"an unknown image", hostsFile, "198.51.100.22\n", "198.51.100.22\n          image: jammy\n", "site-a-agent-2 is made from the image jammy, which images does not list (noble-20260814)"},
			{"no digest", fleetFile, "sha256: ", "sha512: ", "the image noble-20260814 needs a url and the sha256 of what it leads to"},
			{"no key", fleetFile, "    ssh_authorized_keys:\n", "    other_keys:\n", "ssh_authorized_keys is empty, and nobody could log in"},
			{"root", fleetFile, "ansible_user: ansible", "ansible_user: root", `ansible_user is "root", which names no user that the machines can have beside root`},
			{"a size", hostsFile, "198.51.100.22\n", "198.51.100.22\n          cpus: two\n", "site-a-agent-2 has cpus 0, memory_mib 4096 and disk_gib 40: whole numbers"},
			{"a range of hosts", hostsFile, "site-a-agent-2:", "site-a-agent-[2:3]:", "site-a-agent-[2:3] is no host name: use lower-case letters, digits and dashes, and write every host out"},
			{"another group", hostsFile, "    agents:\n", "    workers:\n", "site-a-agent-1 is in neither servers nor agents, and would have no machine"},
			{"another file", "kubernetes/ansible/inventories/site-a/host_vars/site-a-agent-2.yml", "", "cpus: 8\n", "host_vars/site-a-agent-2.yml holds cpus, which Terraform reads only in fleet.yml"},
		} {
			t.Run(test.name, func(t *testing.T) {
				c := newWorkspace(t, mirrored(t), w.program)
				if test.from == "" {
					c.write(t, test.file, test.to)
				} else {
					c.edit(t, test.file, test.from, test.to)
				}
				r := w.run(t, folder, "plan", "-input=false", "-no-color", "-var=site=site-a", `-var=hypervisors=["kvm-1"]`, "-var=directory="+c.path("kubernetes/ansible/inventories"))
				if r.code != 1 || !strings.Contains(unwrapped(r.stderr), test.want) {
					t.Errorf("exit code %d, want 1 and %q:\n%s", r.code, test.want, r.all())
				}
				if n := strings.Count(r.stderr, "Error:"); n != 1 {
					t.Errorf("%d errors, want one:\n%s", n, r.stderr)
				}
			})
		}
	})
}
