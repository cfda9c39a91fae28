package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"archipel/internal/status"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// hostScene is a lab with hosts: six machines of two sites that run the production
// bootstrap, with the repository's own secrets.
type hostScene struct {
	*secretScene
	seen *processWatch
}

// TestHosts takes two sites from bare hosts to Ready as an operator would, breaks them,
// and does on them what has to be done on the second day.
func TestHosts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped, because hosts need root")
	}
	for _, program := range []string{"podman", "crun", "mmdebstrap", "nft", "ssh"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("skipped, because there is no %s (on Debian and Ubuntu: apt-get install podman crun mmdebstrap nftables openssh-client)", program)
		}
	}
	h := &hostScene{secretScene: newSecretScene(t)}
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"bare hosts", h.bare},
		{"wrong hosts end in one message each", h.wrong},
		{"killed at every step, then to Ready", h.killed},
		{"a second run changes nothing", h.again},
		{"a wrong token", h.wrongToken},
		{"the tunnel carries pods and is cut", h.tunnel},
		{"a node comes, and goes", h.nodes},
		{"a host is lost and replaced", h.replaced},
		{"a snapshot, a wipe, and an object that survives", h.restored},
		{"one server becomes three, and one is lost", h.servers},
		{"an upgrade", h.upgraded},
		{"a new agent token", h.token},
		{"nothing is shown anywhere", h.nothingShown},
		{"a reset leaves the hosts clean", h.reset},
		{"down leaves nothing", h.gone},
	} {
		if !t.Run(step.name, step.run) {
			t.FailNow()
		}
	}
}

// in runs archipel among the hosts.
func (h *hostScene) in(t *testing.T, code int, args ...string) result {
	t.Helper()
	return h.must(t, code, append([]string{"lab", "exec", "--", h.binary}, args...)...)
}

// on runs a script on a host, as root.
func (h *hostScene) on(t *testing.T, node, script string) result {
	t.Helper()
	inventory, err := os.ReadFile(filepath.Join(h.labDir(t), "hosts", "inventory.yml"))
	if err != nil {
		t.Fatal(err)
	}
	variable := func(name string) string {
		_, rest, _ := strings.Cut(string(inventory), name+": ")
		value, _, _ := strings.Cut(rest, "\n")
		return strings.Trim(value, `"'`)
	}
	args := append([]string{"lab", "exec", "--", "ssh", "-i", variable("ansible_ssh_private_key_file")},
		strings.Fields(variable("ansible_ssh_common_args"))...)
	return h.run(t, append(args, variable("ansible_user")+"@"+addressOf(t, h.root, node), "sudo sh -c '"+script+"'")...)
}

func (h *hostScene) mustOn(t *testing.T, node, script string) string {
	t.Helper()
	r := h.on(t, node, script)
	if r.code != 0 {
		t.Fatalf("%s on %s: exit code %d\n%s%s", script, node, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// addressOf reads a node's address from the inventory of its site.
func addressOf(t *testing.T, root, node string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "kubernetes/ansible/inventories/*/hosts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, ok := strings.Cut(string(data), node+":"); ok {
			_, rest, _ = strings.Cut(rest, "ansible_host: ")
			address, _, _ := strings.Cut(rest, "\n")
			return strings.TrimSpace(address)
		}
	}
	t.Fatalf("%s is in no inventory", node)
	return ""
}

func (h *hostScene) allNodes() []string {
	var nodes []string
	for _, site := range []string{"site-a", "site-b"} {
		for _, name := range []string{"server-1", "agent-1", "agent-2"} {
			nodes = append(nodes, site+"-"+name)
		}
	}
	return nodes
}

func (h *hostScene) bare(t *testing.T) {
	h.initSecrets(t)
	for _, site := range []string{"site-a", "site-b"} {
		file := "kubernetes/ansible/inventories/" + site + "/group_vars/all/secrets.sops.yml"
		for _, path := range []string{"k3s_server_token", "k3s_agent_token", "wireguard_private_keys/" + site + "-server-1", "sops_age_identities/0"} {
			h.hidden[site+"'s "+path] = strings.TrimSpace(h.must(t, 0, "secret", "get", file, path).stdout)
		}
	}
	h.all.Reset() // secret get shows what it was asked for
	h.seen = watchProcesses(h.whole, h.hidden)
	r := h.must(t, 0, "lab", "up", "--hosts", "--no-bootstrap")
	if strings.Contains(r.stderr, "of its own") {
		t.Fatalf("the lab does not take the repository's secrets:\n%s", r.stderr)
	}
	for _, node := range h.allNodes() {
		if got := strings.TrimSpace(h.mustOn(t, node, "hostname; systemctl is-system-running --wait")); got != node+"\nrunning" {
			t.Errorf("%s is %q", node, got)
		}
	}
}

// wrong breaks hosts one way at a time: each is one clear message, and no host is changed.
func (h *hostScene) wrong(t *testing.T) {
	const node = "site-a-agent-2"
	for _, test := range []struct {
		name, do, undo string
		args           []string
		words          []string
	}{
		{name: "sudo", do: "mv /etc/sudoers.d/ansible /root/", undo: "", words: []string{node, "sudo"}},
		{name: "busy port", do: "systemd-run --unit=busy --quiet python3 -m http.server 10256", undo: "systemctl stop busy", words: []string{node, "10256"}},
		{name: "duplicate host name", do: "hostname site-a-agent-1", undo: "hostname " + node, words: []string{"site-a-agent-1", node}},
		{name: "wrong system", do: "cp /etc/os-release /root/; printf \"ID=alpine\\nVERSION_ID=3.20\\n\" >/etc/os-release", undo: "cp /root/os-release /etc/os-release", words: []string{node, "Ubuntu"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h.mustOn(t, node, test.do)
			defer func() {
				if test.undo != "" {
					h.mustOn(t, node, test.undo)
				}
			}()
			if test.name == "sudo" { // which is then missing to undo it, too
				defer h.must(t, 0, "lab", "start", "--fresh", node)
				defer h.must(t, 0, "lab", "kill", node)
			}
			r := h.in(t, 1, "bootstrap", "site-a", "--yes")
			for _, word := range test.words {
				if !strings.Contains(r.stderr, word) {
					t.Errorf("%q is not said:\n%s", word, r.stderr)
				}
			}
			if n := strings.Count(r.stderr, ": error: "); n != 1 {
				t.Errorf("%d errors, want 1:\n%s", n, r.stderr)
			}
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		h.must(t, 0, "lab", "kill", node)
		defer h.must(t, 0, "lab", "start", node)
		r := h.in(t, 1, "bootstrap", "site-a", "--yes")
		if !strings.Contains(r.stderr, node) || strings.Count(r.stderr, ": error: ") != 1 {
			t.Errorf("not one message:\n%s", r.stderr)
		}
	})
	for _, node := range h.allNodes() {
		if h.on(t, node, "test -e /etc/rancher || test -e /var/lib/archipel").code == 0 {
			t.Errorf("%s was changed", node)
		}
	}
}

// killed kills archipel in every role of the bootstrap of site-a, while site-b is cut off,
// and then lets it come to its end.
func (h *hostScene) killed(t *testing.T) {
	h.must(t, 0, "lab", "cut", "site-a", "site-b")
	for _, words := range []string{"node_base", "site_link", "k3s_server", "k3s_agent", "flux_bootstrap"} {
		cmd, end := h.background(t, words, "lab", "exec", "--", h.binary, "bootstrap", "site-a", "--yes")
		if err := syscall.Kill(processOf(t, h.binary, "bootstrap", cmd.Process.Pid), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		end()
	}
	// A partition between the sites keeps neither from coming up.
	r := h.in(t, 0, "bootstrap", "--all", "--yes", "--output=json")
	h.mustOutcome(t, r)
	h.must(t, 0, "lab", "heal", "site-a", "site-b")
	h.must(t, 0, "lab", "kubeconfig")
	h.must(t, 0, "status")
}

// processOf returns the archipel that runs a command, and is no ancestor.
func processOf(t *testing.T, binary, command string, group int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		cmdline, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil || !strings.HasPrefix(string(cmdline), binary+"\x00"+command+"\x00") {
			continue
		}
		var pid int
		if _, err := fmt.Sscan(entry.Name(), &pid); err == nil && pid != group {
			return pid
		}
	}
	t.Fatalf("no archipel %s runs", command)
	return 0
}

// outcomes is what bootstrap says in JSON.
type outcomes struct {
	Sites []struct {
		Name    string
		Hosts   map[string]struct{ OK, Changed, Failures, Unreachable int }
		Changes []struct{ Host, Task string }
		Status  *status.Site
	}
}

func (h *hostScene) mustOutcome(t *testing.T, r result) outcomes {
	t.Helper()
	var o outcomes
	if err := json.Unmarshal([]byte(r.stdout), &o); err != nil {
		t.Fatalf("bootstrap prints no JSON: %v\n%s", err, r.stdout)
	}
	for _, site := range o.Sites {
		if site.Status != nil && site.Status.State != status.Ready {
			t.Errorf("%s is %s", site.Name, site.Status.State)
		}
	}
	return o
}

func (h *hostScene) again(t *testing.T) {
	o := h.mustOutcome(t, h.in(t, 0, "bootstrap", "--all", "--yes", "--output=json"))
	if len(o.Sites) != 2 {
		t.Fatalf("%d sites", len(o.Sites))
	}
	for _, site := range o.Sites {
		if len(site.Hosts) != 3 || len(site.Changes) != 0 {
			t.Errorf("%s: %d hosts, changes %v", site.Name, len(site.Hosts), site.Changes)
		}
	}
	if r := h.in(t, 0, "bootstrap", "--all", "--check"); !strings.Contains(r.stdout, "nothing would change") {
		t.Errorf("--check says:\n%s", r.stdout)
	}
	// helm-controller has adopted the release that the bootstrap brought: one revision.
	for _, site := range []string{"site-a", "site-b"} {
		release := get(t, h.cluster(t, site), "HelmRelease", "flux-system", "cilium")
		history, _, _ := unstructured.NestedSlice(release.Object, "status", "history")
		set := get(t, h.cluster(t, site), "DaemonSet", "kube-system", "cilium")
		if len(history) != 1 || set.GetGeneration() != 1 {
			t.Errorf("%s: %d revisions of cilium, DaemonSet at generation %d: Flux has rolled it out anew", site, len(history), set.GetGeneration())
		}
	}
}

// wrongToken gives site-b another token than its data is encrypted with: one message, the
// other site untouched, and all is well once the token is right again.
func (h *hostScene) wrongToken(t *testing.T) {
	const file, path = "kubernetes/ansible/inventories/site-b/group_vars/all/secrets.sops.yml", "k3s_server_token"
	h.give(t, strings.Repeat("0123", 16)+"\n", "secret", "set", file, path)
	r := h.in(t, 3, "bootstrap", "site-b", "--yes")
	if !strings.Contains(r.stderr, "site-b-server-1") || !strings.Contains(r.stderr, "token") || strings.Count(r.stderr, "error: ") != 1 {
		t.Errorf("not one message about the token:\n%s", r.stderr)
	}
	h.give(t, h.hidden["site-b's "+path]+"\n", "secret", "set", file, path)
	h.in(t, 0, "bootstrap", "site-b", "--yes")
	h.must(t, 0, "status")
}

// servers takes site-a from one server to three, of which it can lose one.
func (h *hostScene) servers(t *testing.T) {
	h.must(t, 0, "node", "add", "site-a", "site-a-server-2", "198.51.100.12", "--role=server")
	h.must(t, 0, "node", "add", "site-a", "site-a-server-3", "198.51.100.13", "--role=server")
	h.must(t, 0, "lab", "up", "--hosts", "--no-bootstrap")
	h.in(t, 0, "bootstrap", "site-a", "--yes")
	voters := h.kubectl(t, "site-a", `get nodes -o jsonpath="{.items[*].status.conditions[?(@.type==\"EtcdIsVoter\")].status}"`)
	if voters != "True True True" {
		t.Fatalf("the voters of etcd are %q", voters)
	}
	h.must(t, 0, "lab", "kill", "site-a-server-3")
	h.kubectl(t, "site-a", "create configmap made-by-two")
	h.must(t, 0, "lab", "start", "site-a-server-3")
	h.in(t, 0, "bootstrap", "site-a", "--yes")
	h.must(t, 0, "status", "site-a")
}

// processWatch looks at the arguments and the environment of every process of the
// machine, those of the hosts included, again and again.
type processWatch struct {
	mu    sync.Mutex
	found map[string]bool
	looks int
}

func watchProcesses(t *testing.T, hidden map[string]string) *processWatch {
	w := &processWatch{found: map[string]bool{}}
	values := maps.Clone(hidden)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(300 * time.Millisecond):
				w.look(values)
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-ended })
	return w
}

func (w *processWatch) look(values map[string]string) {
	files, _ := filepath.Glob("/proc/[0-9]*/*")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	for _, file := range files {
		if base := filepath.Base(file); base != "cmdline" && base != "environ" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil { // gone
			continue
		}
		for what, value := range values {
			if strings.Contains(string(data), value) {
				w.found[what+" in "+filepath.Base(file)+" of "+strings.ReplaceAll(string(data[:min(40, len(data))]), "\x00", " ")] = true
			}
		}
	}
}

func (h *hostScene) nothingShown(t *testing.T) {
	if len(h.hidden) < 10 {
		t.Fatalf("only %d values to look for", len(h.hidden))
	}
	h.seen.mu.Lock()
	for found := range h.seen.found {
		t.Error(found)
	}
	if h.seen.looks < 100 {
		t.Errorf("only %d looks at the processes", h.seen.looks)
	}
	h.seen.mu.Unlock()
	h.mu.Lock()
	said := h.all.String()
	h.mu.Unlock()
	var journals strings.Builder
	for _, node := range h.allNodes() {
		journals.WriteString(h.mustOn(t, node, "journalctl --no-pager --quiet"))
	}
	check := func(where, text string) {
		for what, value := range h.hidden {
			if strings.Contains(text, value) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(value))) {
				t.Errorf("%s stands in %s", what, where)
			}
		}
	}
	check("what archipel printed", said)
	check("a journal of the hosts", journals.String())
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	// The hosts' own disks hold what they need; all else on this machine is ours.
	for _, root := range []string{filepath.Join(h.labDir(t), "log"), filepath.Join(h.labDir(t), "hosts", "inventory.yml"), h.root, filepath.Join(cache, "archipel", "ansible")} {
		err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && !entry.Type().IsRegular() {
				return nil
			}
			if err != nil {
				return err
			}
			data, err := os.ReadFile(name)
			check(name, string(data))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range h.allNodes() {
		if open := h.mustOn(t, node, "find /etc/rancher /etc/systemd /etc/wireguard /var/lib/archipel /run/wireguard -type f -perm /o+r 2>/dev/null | xargs -r cat"); open != "" {
			check("a file of "+node+" that anybody may read", open)
		}
	}
}

// tunnel sends packets from a host of site-a to an address of site-b's pods, which only the
// link of the gateways leads to.
func (h *hostScene) tunnel(t *testing.T) {
	h.mustOn(t, "site-b-agent-1", "ip address add 10.65.250.1/32 dev lo")
	h.mustOn(t, "site-b-server-1", "ip route replace 10.65.250.1/32 via "+addressOf(t, h.root, "site-b-agent-1"))
	const ping = "ping -c 3 -i 0.2 -W 2 -q 10.65.250.1"
	received := func() string {
		return h.mustOn(t, "site-b-server-1", "wg show all transfer | cut -f 3")
	}
	before := received()
	h.mustOn(t, "site-a-agent-1", ping)
	if received() == before {
		t.Error("the packets did not pass the tunnel")
	}
	h.must(t, 0, "lab", "cut", "site-a", "site-b")
	if h.on(t, "site-a-agent-1", ping).code == 0 {
		t.Error("the packets pass although the sites are cut apart")
	}
	h.must(t, 0, "lab", "heal", "site-a", "site-b")
	deadline := time.Now().Add(time.Minute)
	for h.on(t, "site-a-agent-1", ping).code != 0 {
		if time.Now().After(deadline) {
			t.Fatal("the tunnel does not come back")
		}
	}
	h.must(t, 0, "lab", "loss", "site-a", "site-b", "30")
	h.must(t, 0, "lab", "heal", "site-a", "site-b")
}

func (h *hostScene) kubectl(t *testing.T, site, args string) string {
	t.Helper()
	return h.mustOn(t, site+"-server-1", "k3s kubectl "+args)
}

func (h *hostScene) nodes(t *testing.T) {
	const node = "site-a-agent-3"
	h.must(t, 0, "node", "add", "site-a", node, "198.51.100.23")
	h.must(t, 0, "lab", "up", "--hosts", "--no-bootstrap")
	h.in(t, 0, "bootstrap", "site-a", "--limit", node, "--yes")
	if list := h.kubectl(t, "site-a", "get nodes -o name"); !strings.Contains(list, node) {
		t.Fatalf("the node has not joined:\n%s", list)
	}
	h.in(t, 0, "node", "drain", "site-a", node, "--yes")
	h.in(t, 0, "node", "remove", "site-a", node, "--yes")
	if list := h.kubectl(t, "site-a", "get nodes -o name"); strings.Contains(list, node) {
		t.Errorf("the node is still there:\n%s", list)
	}
	if inventory, err := os.ReadFile(filepath.Join(h.root, "kubernetes/ansible/inventories/site-a/hosts.yml")); err != nil || strings.Contains(string(inventory), node) {
		t.Errorf("the inventory still names the node (%v)", err)
	}
	h.must(t, 0, "lab", "up", "--hosts", "--no-bootstrap")
}

func (h *hostScene) replaced(t *testing.T) {
	const node = "site-a-agent-1"
	h.must(t, 0, "lab", "kill", node)
	h.must(t, 0, "lab", "start", "--fresh", node)
	if h.on(t, node, "test -e /etc/rancher").code == 0 {
		t.Fatal("the host has its old disk")
	}
	h.in(t, 0, "node", "remove", "site-a", node, "--dead", "--yes")
	h.must(t, 0, "node", "add", "site-a", node, "198.51.100.21")
	h.in(t, 0, "bootstrap", "site-a", "--limit", node, "--yes")
	h.must(t, 0, "status", "site-a")
}

func (h *hostScene) restored(t *testing.T) {
	h.kubectl(t, "site-a", "create configmap survivor --from-literal=key=before")
	backups := t.TempDir()
	h.in(t, 0, "backup", "site-a", "--name=keep", "--fetch="+backups)
	kept, err := filepath.Glob(filepath.Join(backups, "keep*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("fetched %v (%v)", kept, err)
	}
	h.kubectl(t, "site-a", "delete configmap survivor")
	// The first server's disk is lost, the snapshot is not.
	h.mustOn(t, "site-a-server-1", "systemctl stop k3s; rm -rf /var/lib/rancher/k3s/server")
	h.in(t, 0, "restore", "site-a", kept[0], "--yes")
	if got := h.kubectl(t, "site-a", "get configmap survivor -o jsonpath={.data.key}"); got != "before" {
		t.Errorf("the object holds %q", got)
	}
	h.in(t, 0, "bootstrap", "site-a", "--yes")
}

func (h *hostScene) upgraded(t *testing.T) {
	h.edit(t, "kubernetes/ansible/inventories/fleet.yml", "k3s_version: v1.36.4+k3s1", "k3s_version: v1.38.0+k3s1")
	h.in(t, 2, "upgrade", "site-a", "--yes")
	h.edit(t, "kubernetes/ansible/inventories/fleet.yml", "k3s_version: v1.38.0+k3s1", "k3s_version: v1.36.4+k3s2")
	h.must(t, 0, "site", "sync")
	h.in(t, 0, "upgrade", "site-a", "--yes")
	h.in(t, 0, "upgrade", "site-b", "--yes")
	nodes := h.kubectl(t, "site-a", "get nodes --no-headers")
	if strings.Count(nodes, "v1.36.4+k3s2") != 5 || strings.Contains(nodes, "SchedulingDisabled") {
		t.Errorf("after the upgrade:\n%s", nodes)
	}
	o := h.mustOutcome(t, h.in(t, 0, "bootstrap", "--all", "--yes", "--output=json"))
	for _, site := range o.Sites {
		if len(site.Changes) != 0 {
			t.Errorf("%s: the bootstrap changes after the upgrade: %v", site.Name, site.Changes)
		}
	}
}

// token carries the rotation of a value that hosts use to its end.
func (h *hostScene) token(t *testing.T) {
	h.must(t, 0, "secret", "rotate", "--generated=k3s-agent-token", "site-b", "--yes")
	h.in(t, 0, "bootstrap", "site-b", "--yes")
	h.must(t, 0, "secret", "rotate", "--generated=k3s-agent-token", "site-b", "--yes", "--switched")
	h.in(t, 0, "bootstrap", "site-b", "--yes")
	h.must(t, 0, "status", "site-b")
}

func (h *hostScene) reset(t *testing.T) {
	h.in(t, 0, "reset", "site-b", "--yes")
	for _, node := range h.allNodes()[3:] {
		left := h.mustOn(t, node, "ls -d /etc/rancher /var/lib/rancher /usr/local/bin/k3s /etc/systemd/system/k3s* /var/lib/archipel 2>/dev/null; pgrep -l k3s; ip -o link | grep -o -e wg[a-z0-9-]* -e cilium_[a-z]*; true")
		if strings.TrimSpace(left) != "" {
			t.Errorf("left on %s:\n%s", node, left)
		}
	}
	h.must(t, 0, "status", "site-a")
	h.in(t, 0, "bootstrap", "site-b", "--yes") // and once more from nothing
}

func (h *hostScene) gone(t *testing.T) {
	dir := h.labDir(t)
	h.must(t, 0, "lab", "down")
	h.leftNothing(t, dir)
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("mounts are left (%v)", err)
	}
	if entries, _ := os.ReadDir("/run/netns"); slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), "site-") }) {
		t.Error("network namespaces are left")
	}
}
