package e2e

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"archipel/internal/status"
	"archipel/internal/tool"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	whoami  = "kubernetes/flux/apps/whoami/app/release.yaml"
	sites   = 2
	aSecond = time.Second
)

// TestLab raises the fleet once and goes through what a user does with it and
// what can break. The steps build on each other: a failed step ends the test.
func TestLab(t *testing.T) {
	s := newScene(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"both sites from nothing to ready", s.up},
		{"the served tree is the tree in Git", s.servedTree},
		{"Flux decrypts for real", s.decryption},
		{"every site knows the others of the mesh", s.mesh},
		{"Flux runs with the flags of the tree", s.fluxFlags},
		{"render computes what Flux has applied", s.verify},
		{"nothing leaves the loopback interface", s.loopback},
		{"the network cannot be deleted", s.guard},
		{"a changed file reaches the sites", s.sync},
		{"a bad commit", s.badCommit},
		{"an undefined variable", s.undefinedVariable},
		{"a wrong value", s.wrongValue},
		{"a broken network layer is overtaken by its fix", s.brokenNetworkLayer},
		{"a deleted Secret", s.deletedSecret},
		{"the API server is killed", s.killedAPIServer},
		{"a Flux controller is killed", s.killedController},
		{"the upstream server is killed", s.killedUpstream},
		{"two labs beside each other", s.twoLabs},
		{"a busy port", s.busyPort},
		{"no secret is shown anywhere", s.canary},
		{"down leaves nothing", s.down},
		{"Ctrl-C leaves nothing", s.interrupted},
		{"a killed up is repaired by the next one", s.killedUp},
	} {
		if !t.Run(step.name, step.run) {
			t.FailNow()
		}
	}
}

func (s *scene) up(t *testing.T) {
	r := s.must(t, 0, "lab", "up")
	for _, want := range []string{"site-a  ready", "site-b  ready", "Nodes", "3/3", "cilium", "metallb", "whoami", "2 sites: 2 ready"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("the table lacks %q:\n%s", want, r.stdout)
		}
	}
	if !strings.Contains(r.stderr, "Try next") {
		t.Errorf("up does not say what to try next:\n%s", r.stderr)
	}
	if again := s.must(t, 0, "lab", "up"); again.took > r.took {
		t.Errorf("a second up took %s, the first %s: what runs must be left alone", again.took, r.took)
	}
	site := s.status(t, 0, "site-a")
	var nodes []string
	for _, node := range site.Nodes {
		nodes = append(nodes, node.Name+" "+node.Role)
	}
	want := []string{"site-a-agent-1 agent", "site-a-agent-2 agent", "site-a-server-1 server"}
	slices.Sort(nodes)
	if !slices.Equal(nodes, want) {
		t.Errorf("nodes are %v, want those of the inventory %v", nodes, want)
	}
	for _, release := range site.HelmReleases {
		if release.State != status.Ready || release.Version == "" {
			t.Errorf("HelmRelease %s: %s, chart %q", release.Name, release.State, release.Version)
		}
	}
}

// servedTree clones what Flux pulls, over the same way, and compares every byte.
func (s *scene) servedTree(t *testing.T) {
	dir := s.labDir(t)
	clone := t.TempDir()
	git := exec.Command("git", "clone", "--quiet", filepath.Join(dir, "git", "archipel.git"), clone)
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	generated := regexp.MustCompile(`^kubernetes/flux/clusters/site-[ab]/secrets/(cilium-ca|flux-system)\.sops\.yaml$`)
	served, tree := readTree(t, clone), readTree(t, s.root)
	secrets := 0
	for name, data := range served {
		if generated.MatchString(name) {
			secrets++
			if !strings.Contains(data, "ENC[AES256_GCM,") || !strings.Contains(data, "sops:") {
				t.Errorf("%s is not encrypted", name)
			}
			continue
		}
		if data != tree[name] {
			t.Errorf("%s differs from the working tree", name)
		}
	}
	if secrets != 2*sites {
		t.Errorf("%d generated secrets, want %d", secrets, 2*sites)
	}
	for name := range tree {
		if _, ok := served[name]; !ok {
			t.Errorf("%s is not served", name)
		}
	}
}

func readTree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == ".git" {
			return filepath.SkipDir
		}
		if entry.Type().IsRegular() {
			data, err := os.ReadFile(name)
			relative, _ := filepath.Rel(root, name)
			files[filepath.ToSlash(relative)] = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (s *scene) decryption(t *testing.T) {
	var authorities []string
	for _, site := range []string{"site-a", "site-b"} {
		secret := get(t, s.cluster(t, site), "Secret", "kube-system", "cilium-ca")
		encoded, _, _ := unstructured.NestedString(secret.Object, "data", "ca.crt")
		data, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		if block == nil {
			t.Fatalf("%s: the mesh CA is no certificate", site)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !certificate.IsCA || certificate.PublicKeyAlgorithm != x509.ECDSA {
			t.Errorf("%s: the mesh CA is no ECDSA authority (%v)", site, err)
		}
		if owner := secret.GetLabels()["kustomize.toolkit.fluxcd.io/name"]; owner != "secrets" {
			t.Errorf("%s: the mesh CA belongs to Kustomization %q", site, owner)
		}
		authorities = append(authorities, encoded)
	}
	if authorities[0] != authorities[1] {
		t.Error("the sites have different mesh CAs")
	}
}

func (s *scene) mesh(t *testing.T) {
	peers := map[string][2]string{"site-a": {"site-b", "203.0.113.200"}, "site-b": {"site-a", "198.51.100.200"}}
	for site, peer := range peers {
		cluster := s.cluster(t, site)
		secret := get(t, cluster, "Secret", "kube-system", "cilium-kvstoremesh")
		data, _, _ := unstructured.NestedStringMap(secret.Object, "data")
		if _, ok := data[peer[0]]; !ok {
			t.Errorf("%s: Cilium's mesh configuration does not name %s", site, peer[0])
		}
		deployment := get(t, cluster, "Deployment", "kube-system", "clustermesh-apiserver")
		if text := fmt.Sprint(deployment.Object); !strings.Contains(text, peer[1]) {
			t.Errorf("%s: the mesh API server does not know %s as %s", site, peer[0], peer[1])
		}
		service := get(t, cluster, "Service", "whoami", "whoami")
		if service.GetAnnotations()["service.cilium.io/global"] != "true" {
			t.Errorf("%s: whoami is no global service", site)
		}
	}
}

// fluxFlags compares what runs as a host process with the Deployment that Flux
// made from the tree: only addresses and the pace may differ.
func (s *scene) fluxFlags(t *testing.T) {
	differ := regexp.MustCompile(`^--(events-addr|storage-path|storage-adv-addr|enable-leader-election|log-encoding|requeue-dependency)(=|$)`)
	cluster := s.cluster(t, "site-a")
	for _, name := range []string{"source-controller", "kustomize-controller", "helm-controller", "notification-controller"} {
		deployment := get(t, cluster, "Deployment", "flux-system", name)
		containers, _, _ := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
		container, _ := containers[0].(map[string]any)
		args, _, _ := unstructured.NestedStringSlice(container, "args")
		if len(args) == 0 {
			t.Errorf("%s has no arguments", name)
		}
		running := s.process(t, "site-a/"+name).Args
		for _, arg := range args {
			if !differ.MatchString(arg) && !slices.Contains(running, arg) {
				t.Errorf("%s runs without %s, which the tree sets", name, arg)
			}
		}
	}
}

func (s *scene) loopback(t *testing.T) {
	dir := s.labDir(t)
	processes, err := tool.Running(dir)
	if err != nil {
		t.Fatal(err)
	}
	inodes := map[string]string{}
	for _, p := range processes {
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.PID))
		for _, link := range links {
			if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, "socket:[") {
				inodes[strings.Trim(strings.TrimPrefix(target, "socket:"), "[]")] = p.Name
			}
		}
	}
	sockets := 0
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		scanner := bufio.NewScanner(bytes.NewReader(data))
		for scanner.Scan() {
			fields := strings.Fields(scanner.Text())
			if len(fields) < 10 || inodes[fields[9]] == "" {
				continue
			}
			sockets++
			for i, field := range fields[1:3] {
				address := parseAddress(t, field)
				// A listening socket has no peer.
				if !address.IsLoopback() && (i == 0 || !address.IsUnspecified()) {
					t.Errorf("%s has a socket with %s", inodes[fields[9]], address)
				}
			}
		}
	}
	if sockets < 50 {
		t.Errorf("only %d sockets seen: the test looks at the wrong processes", sockets)
	}
	log, err := os.ReadFile(filepath.Join(dir, "upstream.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(log), "\n") {
		if strings.Contains(line, `"status":403`) {
			t.Errorf("the tree pulls from somewhere that the lab does not answer for: %s", line)
		}
	}
}

// parseAddress reads the address of /proc/net/tcp: hexadecimal words in the
// byte order of the machine, here little endian.
func parseAddress(t *testing.T, field string) netip.Addr {
	t.Helper()
	text, _, _ := strings.Cut(field, ":")
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(data); i += 4 {
		slices.Reverse(data[i : i+4])
	}
	address, ok := netip.AddrFromSlice(data)
	if !ok {
		t.Fatalf("%q is no address", field)
	}
	return address.Unmap()
}

func (s *scene) guard(t *testing.T) {
	cluster := s.cluster(t, "site-a")
	for _, object := range []struct{ kind, namespace, name string }{
		{"HelmRelease", "flux-system", "cilium"},
		{"CustomResourceDefinition", "", "helmreleases.helm.toolkit.fluxcd.io"},
		{"CustomResourceDefinition", "", "ciliumnodes.cilium.io"},
		{"Namespace", "", "flux-system"},
	} {
		err := cluster.Delete(t.Context(), kindOf(object.kind), object.namespace, object.name)
		if !apierrors.IsForbidden(err) {
			t.Errorf("deleting %s %s: got %v, want a refusal", object.kind, object.name, err)
		}
	}
	// Taking Cilium out of the list of a site must not take it off the site.
	undo := s.edit(t, "kubernetes/flux/clusters/site-a/kustomization.yaml", "  - ../../apps/cilium\n", "")
	s.run(t, "lab", "sync", "site-a", "--timeout=30s")
	if _, err := cluster.Get(t.Context(), kindOf("HelmRelease"), "flux-system", "cilium"); err != nil {
		t.Errorf("HelmRelease cilium went with its entry in the list: %v", err)
	}
	get(t, cluster, "Secret", "kube-system", "cilium-ca")
	undo()
	s.must(t, 0, "lab", "sync")
}

// verify compares render with the real Flux, then makes a difference that must be found.
func (s *scene) verify(t *testing.T) {
	r := s.must(t, 0, "lab", "verify")
	for _, site := range []string{"site-a: ", "site-b: "} {
		if !regexp.MustCompile(site + `1\d\d objects compared at main@[0-9a-f]{7}, 0 differences`).MatchString(r.stdout) {
			t.Errorf("%snot compared:\n%s", site, r.stdout)
		}
	}
	cluster := s.cluster(t, "site-a")
	scale := func(replicas int) {
		err := cluster.Merge(t.Context(), kindOf("Deployment"), "whoami", "whoami", map[string]any{"spec": map[string]any{"replicas": replicas}})
		if err != nil {
			t.Fatal(err)
		}
	}
	scale(7)
	if r := s.must(t, 1, "lab", "verify", "site-a"); !strings.Contains(r.stdout, "Deployment whoami/whoami: spec.replicas: rendered 2, live 7") {
		t.Errorf("a difference was not found:\n%s", r.stdout)
	}
	scale(2)
}

func (s *scene) sync(t *testing.T) {
	s.edit(t, whoami, "replicas: 2", "replicas: 3")
	s.must(t, 0, "lab", "sync")
	for _, site := range []string{"site-a", "site-b"} {
		deployment := get(t, s.cluster(t, site), "Deployment", "whoami", "whoami")
		if replicas, _, _ := unstructured.NestedInt64(deployment.Object, "spec", "replicas"); replicas != 3 {
			t.Errorf("%s has %d replicas, want 3", site, replicas)
		}
	}
}

func (s *scene) badCommit(t *testing.T) {
	undo := s.edit(t, whoami, "spec:", "spec: [")
	s.must(t, 1, "lab", "sync", "--timeout=20s")
	s.rootCause(t, "site-b", "Kustomization/whoami", "release.yaml")
	undo()
	s.must(t, 0, "lab", "sync")
}

func (s *scene) undefinedVariable(t *testing.T) {
	undo := s.edit(t, whoami, "${site_name}", "${site_nmae}")
	s.must(t, 1, "lab", "sync", "--timeout=20s")
	s.rootCause(t, "site-a", "Kustomization/whoami", "site_nmae")
	undo()
	s.must(t, 0, "lab", "sync")
}

func (s *scene) wrongValue(t *testing.T) {
	undo := s.edit(t, whoami, "replicas: 3", "replicas: many")
	s.must(t, 1, "lab", "sync", "--timeout=20s")
	s.rootCause(t, "site-a", "HelmRelease/whoami", "replicas")
	undo()
	s.must(t, 0, "lab", "sync")
}

// brokenNetworkLayer asks for a chart that nobody has: Flux would wait 25
// minutes for it, and the fix must not.
func (s *scene) brokenNetworkLayer(t *testing.T) {
	undo := s.edit(t, "kubernetes/ansible/inventories/fleet.yml", "cilium_version: ", "cilium_version: 9")
	s.must(t, 2, "lab", "up") // the derived files are stale now
	s.must(t, 0, "site", "sync")
	s.must(t, 1, "lab", "sync", "--timeout=20s")
	s.rootCause(t, "site-a", "HelmChart/flux-system-cilium", "chart version")
	undo()
	s.must(t, 0, "site", "sync")
	s.must(t, 0, "lab", "sync", "--timeout=2m")
}

func (s *scene) deletedSecret(t *testing.T) {
	cluster := s.cluster(t, "site-a")
	if err := cluster.Delete(t.Context(), kindOf("Secret"), "flux-system", "flux-system"); err != nil {
		t.Fatal(err)
	}
	s.must(t, 1, "lab", "sync", "--timeout=20s")
	s.rootCause(t, "site-a", "GitRepository/flux-system", `secrets "flux-system" not found`)
	s.must(t, 0, "lab", "up")

	if err := cluster.Delete(t.Context(), kindOf("Secret"), "flux-system", "sops-age"); err != nil {
		t.Fatal(err)
	}
	undo := s.edit(t, whoami, "replicas: 3", "replicas: 4") // a new revision, so that Flux decrypts again
	s.must(t, 1, "lab", "sync", "--timeout=20s")
	if site := s.status(t, 1, "site-a"); !strings.Contains(fmt.Sprint(site.Causes), "sops-age") {
		t.Errorf("no cause names the Secret sops-age: %v", site.Causes)
	}
	s.must(t, 0, "lab", "up")
	undo()
	s.must(t, 0, "lab", "sync")
}

func (s *scene) killedAPIServer(t *testing.T) {
	s.kill(t, "site-a/kube-apiserver")
	site := s.status(t, 1, "site-a")
	if site.Reachable || site.State != status.Unreachable || site.Since == nil || !strings.Contains(site.Error, "refused") {
		t.Errorf("site-a: reachable %t, %s, since %v, error %q", site.Reachable, site.State, site.Since, site.Error)
	}
	if site := s.status(t, 1, "site-b"); site.State != status.Ready {
		t.Errorf("site-b is %s, but nothing happened to it", site.State)
	}
	s.kill(t, "site-b/kube-apiserver")
	s.must(t, 3, "status")
	s.must(t, 0, "lab", "up")
}

func (s *scene) killedController(t *testing.T) {
	s.kill(t, "site-b/kustomize-controller")
	s.rootCause(t, "site-b", "Process/kustomize-controller", "does not run")
	// A kubeconfig that names the lab's clusters must not hide what runs beside them.
	cmd := s.command(t.Context(), "status")
	cmd.Env = append(cmd.Env, "KUBECONFIG="+filepath.Join(s.labDir(t), "kubeconfig"))
	if r := s.wait(t, cmd); r.code != 1 || !strings.Contains(r.stdout, "Process/kustomize-controller") {
		t.Errorf("status with the lab's kubeconfig: exit code %d\n%s", r.code, r.stdout)
	}
	if r := s.must(t, 3, "lab", "sync"); !strings.Contains(r.stderr, "kustomize-controller of site-b ended") {
		t.Errorf("lab sync does not say what is missing:\n%s", r.stderr)
	}
	s.must(t, 0, "lab", "up")
}

// Each run of the upstream server has an authority of its own. Sites that trusted the
// one before could fetch nothing any more, those that were not raised again included.
func (s *scene) killedUpstream(t *testing.T) {
	s.kill(t, "/upstream")
	s.must(t, 0, "lab", "up", "site-a")
	s.edit(t, whoami, "replicas: 3", "replicas: 4")
	s.must(t, 0, "lab", "sync", "--timeout=2m")
}

func (s *scene) twoLabs(t *testing.T) {
	s.must(t, 0, "lab", "up", "site-a", "--name=two", "--no-wait")
	var snapshot []string
	for _, name := range []string{"--name=", "--name=two"} {
		r := s.run(t, "lab", "kubeconfig", name)
		snapshot = append(snapshot, strings.TrimSpace(r.stdout))
	}
	if snapshot[0] == snapshot[1] {
		t.Errorf("both labs have the kubeconfig %s", snapshot[0])
	}
	s.must(t, 0, "lab", "down", "--name=two")
	s.status(t, 0, "site-a")
}

func (s *scene) busyPort(t *testing.T) {
	server := s.process(t, "site-a/kube-apiserver")
	var address string
	for _, arg := range server.Args {
		if value, ok := strings.CutPrefix(arg, "--bind-address="); ok {
			address = net.JoinHostPort(value, "6443")
		}
	}
	s.must(t, 0, "lab", "down", "--keep")
	var listener net.Listener
	var err error
	for began := time.Now(); time.Since(began) < 5*aSecond; time.Sleep(50 * time.Millisecond) {
		if listener, err = net.Listen("tcp4", address); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	r := s.must(t, 3, "lab", "up")
	listener.Close()
	if !strings.Contains(r.stderr, address) || strings.Count(r.stderr, "error:") != 1 {
		t.Errorf("the error does not name %s once:\n%s", address, r.stderr)
	}
	if processes, _ := tool.Running(s.lastLabDir(t)); len(processes) > 0 {
		t.Errorf("a failed up leaves %v", processes)
	}
	s.must(t, 0, "lab", "up") // resumes from the state
	if replicas, _, _ := unstructured.NestedInt64(get(t, s.cluster(t, "site-b"), "Deployment", "whoami", "whoami").Object, "spec", "replicas"); replicas != 4 {
		t.Errorf("the state was not kept: whoami has %d replicas, want 4", replicas)
	}
}

// lastLabDir finds the lab's folder when no command can tell.
func (s *scene) lastLabDir(t *testing.T) string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(s.state, "archipel", "lab", "*"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("want one lab in %s, got %v (%v)", s.state, dirs, err)
	}
	return dirs[0]
}

// canary looks for the lab's secret values where they do not belong.
func (s *scene) canary(t *testing.T) {
	dir := s.labDir(t)
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, "secrets", name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(data))
	}
	identity := read("age.agekey")
	_, password, _ := strings.Cut(read("git-credentials"), ":")
	authority := get(t, s.cluster(t, "site-a"), "Secret", "kube-system", "cilium-ca")
	key, _, _ := unstructured.NestedString(authority.Object, "data", "ca.key")
	plain, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	canaries := map[string]string{
		"the age identity": identity, "the Git password": password,
		"the mesh CA's key": strings.Split(string(plain), "\n")[1], "the mesh CA's key, encoded": key,
	}
	check := func(where, text string) {
		for what, value := range canaries {
			if len(value) < 20 {
				t.Fatalf("%s is %d bytes: too short to search for", what, len(value))
			}
			if strings.Contains(text, value) {
				t.Errorf("%s stands in %s", what, where)
			}
		}
	}
	s.mu.Lock()
	check("what archipel printed", s.all.String())
	s.mu.Unlock()
	processes, err := tool.Running(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		for _, file := range []string{"cmdline", "environ"} {
			data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.PID, file))
			check(p.Name+"'s "+file, string(data))
		}
	}
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if name == dir && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %s: others may enter", name, info.Mode())
		}
		relative, _ := filepath.Rel(dir, name)
		// etcd holds what the API server was given; the two files are where the values live.
		if !entry.Type().IsRegular() || strings.Contains(relative, "/etcd/") ||
			relative == "secrets/age.agekey" || relative == "secrets/git-credentials" {
			return nil
		}
		data, err := os.ReadFile(name)
		check(relative, string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *scene) down(t *testing.T) {
	dir := s.labDir(t)
	s.must(t, 0, "lab", "down")
	s.leftNothing(t, dir)
	if r := s.must(t, 3, "lab", "status"); !strings.Contains(r.stderr, "archipel lab up") {
		t.Errorf("lab status does not say how to raise a lab:\n%s", r.stderr)
	}
	s.must(t, 0, "lab", "down")
}

func (s *scene) leftNothing(t *testing.T, dir string) {
	t.Helper()
	processes, err := tool.Running(dir)
	if err != nil || len(processes) > 0 {
		t.Errorf("processes are left: %v (%v)", processes, err)
	}
	if entries, _ := os.ReadDir(s.state); len(entries) > 0 {
		t.Errorf("%s is left in the state folder", entries[0].Name())
	}
}

func (s *scene) interrupted(t *testing.T) {
	for _, words := range []string{"waiting for kube-apiserver", "waiting for HelmRelease/cilium"} {
		cmd, end := s.background(t, words, "lab", "up", "site-a")
		dir := s.lastLabDir(t)
		if r := s.run(t, "lab", "down"); words == "waiting for kube-apiserver" && (r.code != 3 || !strings.Contains(r.stderr, "another archipel command")) {
			t.Errorf("lab down beside lab up: exit code %d\n%s", r.code, r.stderr)
		}
		if words != "waiting for kube-apiserver" {
			// up waits without the lock: down has just taken the lab away under it.
			end()
			s.leftNothing(t, dir)
			continue
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if r := end(); r.code != 130 {
			t.Errorf("exit code %d after Ctrl-C, want 130:\n%s", r.code, r.stderr)
		}
		s.leftNothing(t, dir)
	}
	cmd, end := s.background(t, "waiting for HelmRelease/cilium", "lab", "up", "site-a")
	dir := s.lastLabDir(t)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if r := end(); r.code != 130 {
		t.Errorf("exit code %d after Ctrl-C, want 130:\n%s", r.code, r.stderr)
	}
	s.leftNothing(t, dir)
}

func (s *scene) killedUp(t *testing.T) {
	cmd, end := s.background(t, "starting Flux", "lab", "up")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	end()
	s.must(t, 0, "lab", "up")
	s.must(t, 0, "lab", "down")
}
