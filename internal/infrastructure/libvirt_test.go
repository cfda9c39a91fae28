package infrastructure

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// libvirtPackages are those of Debian and Ubuntu that a hypervisor needs.
const libvirtPackages = "libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils genisoimage dnsmasq-base ovmf"

// up starts a libvirtd that shares neither network, processes nor folders with the machine: $1
// holds what it writes. The shell stays, because somebody must wait for the orphans of libvirtd.
const up = `set -eu
mount -t proc proc /proc
ip link set lo up
ip link add br0 type bridge
ip address add 192.0.2.1/24 dev br0
ip link set br0 up
for dir in /run/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt /etc/libvirt; do
	mkdir -p "$1$dir" "$dir"
	mount --bind "$1$dir" "$dir"
done
mkdir -p /var/lib/libvirt/images
cat >/etc/libvirt/qemu.conf <<'END'
user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
remember_owner = 0
namespaces = []
cgroup_controllers = []
END
cat >/etc/libvirt/libvirtd.conf <<'END'
auth_unix_rw = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
END
libvirtd --timeout 0 -f /etc/libvirt/libvirtd.conf -p /run/libvirt/libvirtd.pid &
wait $!
`

// hypervisor is a libvirtd of a test.
type hypervisor struct{ dir, uri string }

func startHypervisor(t *testing.T, dir string) *hypervisor {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped, because a hypervisor of its own needs root")
	}
	for _, program := range []string{"libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "mkisofs", "dnsmasq", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("skipped, because there is no %s (on Debian and Ubuntu: apt-get install --no-install-recommends %s curl)", program, libvirtPackages)
		}
	}
	if _, err := os.Stat("/usr/share/OVMF/OVMF_CODE_4M.fd"); err != nil {
		t.Skipf("skipped, because there is no UEFI firmware (on Debian and Ubuntu: apt-get install --no-install-recommends %s)", libvirtPackages)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	h := &hypervisor{dir: dir, uri: "qemu+unix:///system?socket=" + dir + "/run/libvirt/libvirt-sock"}
	command := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", up, "sh", dir)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if r := h.virsh(t, "domcapabilities", "--virttype", "qemu"); r.code == 0 {
			return h
		} else if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("libvirtd does not answer: %s%s", r.all(), text)
		}
	}
}

func (h *hypervisor) virsh(t *testing.T, args ...string) result {
	t.Helper()
	return finish(t, exec.CommandContext(t.Context(), "virsh", append([]string{"-q", "-c", h.uri}, args...)...))
}

func (h *hypervisor) must(t *testing.T, args ...string) string {
	t.Helper()
	r := h.virsh(t, args...)
	if r.code != 0 {
		t.Fatalf("virsh %s: %s", strings.Join(args, " "), r.all())
	}
	return strings.TrimSpace(r.stdout)
}

// running are the names of the machines that run, sorted.
func (h *hypervisor) running(t *testing.T) []string {
	t.Helper()
	names := strings.Fields(h.must(t, "list", "--name"))
	slices.Sort(names)
	return names
}

// made prepares a workspace to make machines of site-a: a small image, and a state in a file.
func made(t *testing.T, w *workspace, h *hypervisor) {
	t.Helper()
	image := w.path("base.img")
	if r := finish(t, exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", image, "64M")); r.code != 0 {
		t.Fatal(r.all())
	}
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := os.ReadFile(w.path(fleetFile))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(fleet), " url: ")
	url, _, _ := strings.Cut(rest, "\n")
	_, rest, _ = strings.Cut(string(fleet), "sha256: ")
	digest, _, _ := strings.Cut(rest, "\n")
	w.edit(t, fleetFile, url, "file://"+image)
	w.edit(t, fleetFile, digest, fmt.Sprintf("%x", sha256.Sum256(data)))
	w.edit(t, fleetFile, "memory_mib: 4096", "memory_mib: 128")
	w.edit(t, fleetFile, "disk_gib: 40", "disk_gib: 1")
	w.edit(t, factsFile, "    uri: qemu:///system", "    emulated: true\n    uri: "+h.uri)
	w.write(t, siteA+"/backend_override.tf", "terraform {\n  backend \"local\" {}\n}\n")
	w.must(t, 0, siteA, "init", "-input=false", "-no-color")
}

// changes are what a plan would do, by address; nothing when it would do nothing.
func (w *workspace) changes(t *testing.T, folder string) map[string]string {
	t.Helper()
	planned := w.run(t, folder, "plan", "-input=false", "-no-color", "-detailed-exitcode", "-out=plan")
	if planned.code != 0 && planned.code != 2 {
		t.Fatalf("no plan:\n%s", planned.all())
	}
	if _, differences, ok := strings.Cut(planned.stdout, "will perform the following actions:"); ok {
		t.Log(differences)
	}
	var plan struct {
		Changes []struct {
			Address string
			Change  struct{ Actions []string }
		} `json:"resource_changes"`
	}
	if err := json.Unmarshal([]byte(w.must(t, 0, folder, "show", "-json", "plan").stdout), &plan); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range plan.Changes {
		if actions := strings.Join(c.Change.Actions, " "); actions != "no-op" && actions != "read" {
			all[strings.TrimPrefix(c.Address, "module.site.module.")] = actions
		}
	}
	if (planned.code == 2) != (len(all) > 0) {
		t.Fatalf("exit code %d with the changes %v:\n%s", planned.code, all, planned.all())
	}
	return all
}

// expect plans, compares, applies, and asks for nothing more to do.
func (w *workspace) expect(t *testing.T, folder string, want map[string]string) {
	t.Helper()
	if got := w.changes(t, folder); !maps.Equal(got, want) {
		t.Fatalf("planned %v\n   want %v", got, want)
	}
	w.must(t, 0, folder, "apply", "-input=false", "-no-color", "plan")
	if again := w.changes(t, folder); len(again) > 0 {
		t.Fatalf("a second plan is not empty: %v", again)
	}
}

func machine(name, action string) map[string]string {
	all := map[string]string{}
	for _, resource := range []string{"libvirt_domain.this", "libvirt_volume.root", "libvirt_volume.seed", "terraform_data.seed"} {
		all[fmt.Sprintf("machine[%q].%s", name, resource)] = action
	}
	return all
}

// TestMachines makes the machines of a site on a real hypervisor, changes and removes them.
func TestMachines(t *testing.T) {
	long(t)
	eachTool(t, func(t *testing.T, w *workspace) {
		h := startHypervisor(t, w.path("a"))
		made(t, w, h)
		names := []string{"site-a-agent-1", "site-a-agent-2", "site-a-server-1"}
		domain := func(name string) string { return fmt.Sprintf("machine[%q].libvirt_domain.this", name) }
		for _, step := range []struct {
			name string
			run  func(*testing.T)
		}{
			{"three nodes", func(t *testing.T) {
				if n := len(w.changes(t, siteA)); n != 16 {
					t.Errorf("%d changes, want 16", n)
				}
				w.must(t, 0, siteA, "apply", "-input=false", "-no-color", "plan")
				if again := w.changes(t, siteA); len(again) > 0 {
					t.Fatalf("a second plan is not empty: %v", again)
				}
				if got := h.running(t); !slices.Equal(got, names) {
					t.Fatalf("%v run, want %v", got, names)
				}
				definition := h.must(t, "dumpxml", names[0])
				for _, want := range []string{"/usr/share/OVMF/OVMF_CODE_4M.fd", names[0] + "_VARS.fd", "<memory unit='KiB'>131072</memory>"} {
					if !strings.Contains(definition, want) {
						t.Errorf("the machine lacks %s:\n%s", want, definition)
					}
				}
				if info := h.must(t, "dominfo", names[0]); !strings.Contains(info, "enable") {
					t.Errorf("the machine is not started with the hypervisor:\n%s", info)
				}
			}},
			{"a key changes nothing", func(t *testing.T) {
				w.edit(t, fleetFile, "    ssh_authorized_keys:\n", "    ssh_authorized_keys:\n      - ssh-ed25519 AAAAC3 another\n")
				if got := w.changes(t, siteA); len(got) > 0 {
					t.Errorf("planned %v", got)
				}
			}},
			{"somebody else's home changes nothing", func(t *testing.T) {
				env := w.env
				w.env = append(slices.Clone(env), "HOME="+w.path("kubernetes"))
				defer func() { w.env = env }()
				if got := w.changes(t, siteA); len(got) > 0 {
					t.Errorf("planned %v", got)
				}
			}},
			{"a node comes", func(t *testing.T) {
				w.edit(t, hostsFile, "          ansible_host: 198.51.100.22\n", "          ansible_host: 198.51.100.22\n        site-a-agent-3:\n          ansible_host: 198.51.100.23\n          cpus: 1\n")
				w.expect(t, siteA, machine("site-a-agent-3", "create"))
				if got, want := h.running(t), slices.Sorted(slices.Values(append(slices.Clone(names), "site-a-agent-3"))); !slices.Equal(got, want) {
					t.Errorf("%v run, want %v", got, want)
				}
			}},
			{"a machine is larger, on the same disk", func(t *testing.T) {
				w.edit(t, hostsFile, "          cpus: 1\n", "          cpus: 2\n")
				w.expect(t, siteA, map[string]string{domain("site-a-agent-3"): "delete create"})
			}},
			{"a machine was switched off", func(t *testing.T) {
				h.must(t, "destroy", "site-a-agent-1")
				w.expect(t, siteA, map[string]string{domain("site-a-agent-1"): "update"})
				if got := h.running(t); !slices.Contains(got, "site-a-agent-1") {
					t.Errorf("only %v run", got)
				}
			}},
			{"a machine was deleted", func(t *testing.T) {
				h.must(t, "destroy", "site-a-agent-2")
				h.must(t, "undefine", "--nvram", "site-a-agent-2")
				w.expect(t, siteA, map[string]string{domain("site-a-agent-2"): "create"})
			}},
			{"a node gets another address", func(t *testing.T) {
				w.edit(t, hostsFile, "198.51.100.23", "198.51.100.24")
				w.expect(t, siteA, machine("site-a-agent-3", "delete create"))
				seeds, err := filepath.Glob(h.dir + "/var/lib/libvirt/images/site-a/site-a-agent-3-*.iso")
				if err != nil || len(seeds) != 1 {
					t.Fatalf("seeds: %v %v", seeds, err)
				}
				if data, err := os.ReadFile(seeds[0]); err != nil || !strings.Contains(string(data), "198.51.100.24/24") {
					t.Errorf("the seed holds another address: %v", err)
				}
			}},
			{"a node goes", func(t *testing.T) {
				w.edit(t, hostsFile, "        site-a-agent-3:\n          ansible_host: 198.51.100.24\n          cpus: 2\n", "")
				w.expect(t, siteA, machine("site-a-agent-3", "delete"))
				if got := h.running(t); !slices.Equal(got, names) {
					t.Errorf("%v run, want %v", got, names)
				}
			}},
			{"another image is another machine", func(t *testing.T) {
				second := w.path("second.img")
				if r := finish(t, exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", second, "65M")); r.code != 0 {
					t.Fatal(r.all())
				}
				data, err := os.ReadFile(second)
				if err != nil {
					t.Fatal(err)
				}
				w.edit(t, fleetFile, "    images:\n", fmt.Sprintf("    images:\n      second:\n        url: file://%s\n        sha256: %x\n", second, sha256.Sum256(data)))
				w.edit(t, hostsFile, "          ansible_host: 198.51.100.22\n", "          ansible_host: 198.51.100.22\n          image: second\n")
				want := machine("site-a-agent-2", "delete create")
				want[`image.libvirt_volume.base["second"]`] = "create"
				want[`image.terraform_data.download["second"]`] = "create"
				w.expect(t, siteA, want)
			}},
			{"a wrong digest", func(t *testing.T) {
				w.edit(t, fleetFile, "    images:\n", "    images:\n      third:\n        url: file://"+w.path("base.img")+"\n        sha256: "+strings.Repeat("a", 64)+"\n")
				w.edit(t, hostsFile, "image: second", "image: third")
				r := w.must(t, 1, siteA, "apply", "-input=false", "-no-color", "-auto-approve")
				if want := "the inventory says " + strings.Repeat("a", 64); !strings.Contains(unwrapped(r.all()), want) {
					t.Errorf("lacks %q:\n%s", want, r.all())
				}
				w.edit(t, hostsFile, "image: third", "image: second")
				w.must(t, 0, siteA, "apply", "-input=false", "-no-color", "-auto-approve")
			}},
			{"nothing is left", func(t *testing.T) {
				w.must(t, 0, siteA, "destroy", "-input=false", "-no-color", "-auto-approve")
				for what, left := range map[string]string{
					"machines": h.must(t, "list", "--all", "--name"), "networks": h.must(t, "net-list", "--all", "--name"), "pools": h.must(t, "pool-list", "--all", "--name"),
				} {
					if left != "" {
						t.Errorf("%s: %s", what, left)
					}
				}
				files, err := filepath.Glob(h.dir + "/var/lib/libvirt/images/*/*")
				if err != nil || len(files) > 0 {
					t.Errorf("files are left: %v %v", files, err)
				}
			}},
		} {
			if !t.Run(step.name, step.run) {
				t.FailNow()
			}
		}
	})
}

// TestSeveralHypervisors spreads the servers of a site over two, as the README of the module site
// says.
func TestSeveralHypervisors(t *testing.T) {
	long(t)
	eachTool(t, func(t *testing.T, w *workspace) {
		first, second := startHypervisor(t, w.path("a")), startHypervisor(t, w.path("b"))
		page, err := os.ReadFile(w.path("kubernetes/terraform/modules/site/README.md"))
		if err != nil {
			t.Fatal(err)
		}
		_, example, _ := strings.Cut(string(page), "```hcl\n")
		example, _, _ = strings.Cut(example, "```\n")
		w.write(t, siteA+"/kvm-2.tf", example)
		w.edit(t, siteA+"/main.tf", `hypervisors = ["kvm-1"]`, `hypervisors = ["kvm-1", "kvm-2"]`)
		w.edit(t, factsFile, "  kvm-1:\n", "  kvm-2:\n    emulated: true\n    bridge: br0\n    uri: "+second.uri+"\n  kvm-1:\n    bridge: br0\n")
		w.write(t, hostsFile, `all:
  children:
    servers:
      hosts:
        site-a-server-1: {ansible_host: 198.51.100.11, hypervisor: kvm-1}
        site-a-server-2: {ansible_host: 198.51.100.12, hypervisor: kvm-1}
        site-a-server-3: {ansible_host: 198.51.100.13, hypervisor: kvm-1}
`)
		made(t, w, first)
		r := w.must(t, 1, siteA, "plan", "-input=false", "-no-color")
		if want := "servers are not spread over the hypervisors, so that one that fails takes more than its share with it: kvm-1 has 3, kvm-2 has 0"; !strings.Contains(unwrapped(r.all()), want) {
			t.Fatalf("lacks %q:\n%s", want, r.all())
		}
		w.edit(t, hostsFile, "198.51.100.12, hypervisor: kvm-1", "198.51.100.12, hypervisor: kvm-2")
		w.must(t, 0, siteA, "apply", "-input=false", "-no-color", "-auto-approve")
		if again := w.changes(t, siteA); len(again) > 0 {
			t.Errorf("a second plan is not empty: %v", again)
		}
		if a, b := first.running(t), second.running(t); !slices.Equal(a, []string{"site-a-server-1", "site-a-server-3"}) || !slices.Equal(b, []string{"site-a-server-2"}) {
			t.Errorf("%v run on one, %v on the other", a, b)
		}
		w.must(t, 0, siteA, "destroy", "-input=false", "-no-color", "-auto-approve")
	})
}
