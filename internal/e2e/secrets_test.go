package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"archipel/internal/secret"
	"archipel/internal/tool"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The values that must be seen nowhere.
const (
	canaryValue    = "canary-of-the-application-4f1c9a"
	canaryPassword = "canary-of-the-git-server-8e2d7b"
	canaryFile     = "kubernetes/flux/clusters/site-a/secrets/canary.sops.yaml"
)

// secretScene is a lab that runs with the repository's secrets, made by archipel
// secret init, and an operator who has nothing but a folder of settings.
type secretScene struct {
	*scene
	whole    *testing.T // the steps together
	settings string
	watch    *reconciliations
	hidden   map[string]string // what must be seen nowhere, by what it is
	mesh     string            // the mesh CA at the start
}

// newSecretScene is a scene whose operator has nothing but a folder of settings.
func newSecretScene(t *testing.T) *secretScene {
	t.Helper()
	s := &secretScene{scene: newScene(t), whole: t, settings: t.TempDir(), hidden: map[string]string{
		"the application's password": canaryValue, "the Git password": canaryPassword,
	}}
	// Without this the go command leaves a child behind, which still writes here when the test is over.
	write(t, filepath.Join(s.settings, "go/telemetry/mode"), "off")
	s.env = []string{
		"XDG_CONFIG_HOME=" + s.settings, "SOPS_AGE_KEY=", "SOPS_AGE_KEY_FILE=", "SOPS_AGE_KEY_CMD=", "USER=ann",
	}
	return s
}

// TestSecrets raises a site with the repository's own secrets and replaces all
// keys that Flux works with, while it works.
func TestSecrets(t *testing.T) {
	s := newSecretScene(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"the first secrets", s.initSecrets},
		{"a site from nothing to ready with them", s.upWithSecrets},
		{"a value that was set", s.setValue},
		{"new data keys", s.dataKeys},
		{"a reader comes and goes", s.readers},
		{"a new age key of the site", s.siteKey},
		{"no reconciliation failed in between", s.noFailure},
		{"a Secret that was changed by hand", s.changedByHand},
		{"nothing is shown anywhere", s.nothingShown},
		{"without an identity", s.withoutIdentity},
	} {
		if !t.Run(step.name, step.run) {
			t.FailNow()
		}
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// give is must with something on stdin.
func (s *secretScene) give(t *testing.T, input string, args ...string) result {
	t.Helper()
	cmd := s.command(t.Context(), args...)
	cmd.Stdin = strings.NewReader(input)
	r := s.wait(t, cmd)
	if r.code != 0 {
		t.Fatalf("archipel %s: exit code %d\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r
}

func (s *secretScene) git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=ann", "-c", "user.email=ann@example.org"}, args...)...)
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// push commits what has changed and brings it to the site, which must be ready at
// it, and serve the files that were committed.
func (s *secretScene) push(t *testing.T, message string) {
	t.Helper()
	s.git(t, "add", "--all")
	s.git(t, "commit", "--quiet", "--message="+message)
	s.must(t, 0, "lab", "sync", "site-a", "--timeout=2m")
	bare := filepath.Join(s.labDir(t), "git", "archipel.git")
	served := strings.TrimSpace(s.git(t, "--git-dir="+bare, "rev-parse", "main"))
	if tree := s.git(t, "--git-dir="+bare, "rev-parse", "main^{tree}"); tree != s.git(t, "rev-parse", "HEAD^{tree}") {
		t.Fatalf("after %s the lab serves another tree than the commit", message)
	}
	flux := get(t, s.cluster(t, "site-a"), "Kustomization", "flux-system", "secrets")
	if applied, _, _ := unstructured.NestedString(flux.Object, "status", "lastAppliedRevision"); applied != "main@sha1:"+served {
		t.Fatalf("after %s Flux has applied %s, want %s", message, applied, served)
	}
	if mesh := s.value(t, "kube-system", "cilium-ca", "ca.key"); mesh != s.mesh {
		t.Errorf("%s has changed the mesh CA", message)
	}
}

// value is an entry of a Secret in the cluster.
func (s *secretScene) value(t *testing.T, namespace, name, entry string) string {
	t.Helper()
	object := get(t, s.cluster(t, "site-a"), "Secret", namespace, name)
	encoded, _, _ := unstructured.NestedString(object.Object, "data", entry)
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// clusterIdentities are those that Flux at site-a decrypts with.
func (s *secretScene) clusterIdentities(t *testing.T) []string {
	t.Helper()
	identities := strings.Fields(s.value(t, "flux-system", "sops-age", secret.ClusterEntry))
	for i, identity := range identities {
		s.hidden[fmt.Sprintf("identity %d of %d of the site", i+1, len(identities))] = identity
	}
	return identities
}

func (s *secretScene) doctor(t *testing.T, code int) string {
	t.Helper()
	return s.must(t, code, "secret", "doctor", "site-a", "--kubeconfig="+filepath.Join(s.labDir(t), "kubeconfig")).stdout
}

// readersOf are the recipients of a file on disk.
func (s *secretScene) readersOf(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		t.Fatal(err)
	}
	file, err := secret.ParseFile(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return file.Recipients()
}

func (s *secretScene) initSecrets(t *testing.T) {
	s.git(t, "init", "--quiet", "--initial-branch=main")
	s.git(t, "add", "--all")
	s.git(t, "commit", "--quiet", "--message=the fleet")
	s.give(t, canaryPassword+"\n", "secret", "init", "--git-user=flux")
	write(t, filepath.Join(s.root, canaryFile), `apiVersion: v1
kind: Secret
metadata:
  name: canary
  namespace: default
stringData:
  password: not yet
`)
	s.must(t, 0, "secret", "encrypt", canaryFile)
	identity, err := os.ReadFile(filepath.Join(s.settings, "sops/age/keys.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(identity)) {
		if !strings.HasPrefix(line, "#") {
			s.hidden["the operator's identity"] = strings.TrimSpace(line)
		}
	}
	s.git(t, "add", "--all")
	s.git(t, "commit", "--quiet", "--message=secrets")
	s.must(t, 0, "secret", "doctor", "--offline")
}

func (s *secretScene) upWithSecrets(t *testing.T) {
	if r := s.must(t, 0, "lab", "up", "site-a"); strings.Contains(r.stderr, "of its own") {
		t.Fatalf("the lab does not take the repository's secrets:\n%s", r.stderr)
	}
	if entries, _ := os.ReadDir(filepath.Join(s.labDir(t), "secrets")); len(entries) != 1 {
		t.Errorf("the lab has made secrets of its own: %v", entries)
	}
	s.mesh = s.value(t, "kube-system", "cilium-ca", "ca.key")
	s.hidden["the mesh CA's key"] = strings.Split(s.mesh, "\n")[1]
	if identities := s.clusterIdentities(t); len(identities) != 1 {
		t.Fatalf("the cluster has %d identities, want 1", len(identities))
	} else if half, err := secret.RecipientOf(identities[0]); err != nil || !slices.Contains(s.readersOf(t, canaryFile), half) {
		t.Errorf("the cluster has not the identity of the inventory (%v)", err)
	}
	if got := s.value(t, "flux-system", "flux-system", "password"); got != canaryPassword {
		t.Error("the cluster has not the Git password of the repository")
	}
	if r := s.must(t, 0, "lab", "verify", "site-a"); !strings.Contains(r.stdout, "0 differences") || strings.Contains(r.stdout, "decrypted") {
		t.Errorf("render and Flux do not agree on the secrets:\n%s", r.stdout)
	}
	s.doctor(t, 0)
	s.watch = s.follow(t)
}

func (s *secretScene) setValue(t *testing.T) {
	s.give(t, canaryValue+"\n", "secret", "set", canaryFile, "stringData/password")
	s.push(t, "a value")
	if got := s.value(t, "default", "canary", "password"); got != canaryValue {
		t.Error("the value has not arrived")
	}
}

func (s *secretScene) dataKeys(t *testing.T) {
	before, err := os.ReadFile(filepath.Join(s.root, canaryFile))
	if err != nil {
		t.Fatal(err)
	}
	s.must(t, 0, "secret", "rotate", "--data-keys", "--yes")
	if after, err := os.ReadFile(filepath.Join(s.root, canaryFile)); err != nil || bytes.Equal(before, after) {
		t.Fatalf("the file is as before (%v)", err)
	}
	s.push(t, "new data keys")
}

func (s *secretScene) readers(t *testing.T) {
	_, maria, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	s.must(t, 0, "secret", "recipients", "add", "maria", maria, "--yes")
	if !slices.Contains(s.readersOf(t, canaryFile), maria) {
		t.Error("the new reader cannot read")
	}
	s.push(t, "maria reads")
	s.must(t, 0, "secret", "recipients", "remove", "maria", "--yes")
	if slices.Contains(s.readersOf(t, canaryFile), maria) {
		t.Error("the reader can still read")
	}
	s.push(t, "maria reads no more")
	s.doctor(t, 0)
}

func (s *secretScene) siteKey(t *testing.T) {
	old := s.clusterIdentities(t)[0]
	oldHalf, err := secret.RecipientOf(old)
	if err != nil {
		t.Fatal(err)
	}
	rotate := func() result {
		return s.must(t, 0, "secret", "rotate", "--generated=sops-age", "site-a", "--yes",
			"--kubeconfig="+filepath.Join(s.labDir(t), "kubeconfig"))
	}
	rotate()
	both := s.clusterIdentities(t)
	if len(both) != 2 || !slices.Contains(both, old) {
		t.Fatalf("the cluster has %d identities, want the new and the old", len(both))
	}
	if slices.Contains(s.readersOf(t, canaryFile), oldHalf) {
		t.Error("the old key still opens what is in Git")
	}
	// Flux still has the old files, and decrypts them.
	s.reconcile(t)
	if again := rotate(); !strings.Contains(again.stdout, "run this again once Flux has applied it") || len(s.clusterIdentities(t)) != 2 {
		t.Fatalf("the old identity must stay until Flux has applied the new files:\n%s", again.stdout)
	}
	s.push(t, "a new key")
	s.must(t, 0, "lab", "up", "site-a") // a repair in the middle changes nothing
	if len(s.clusterIdentities(t)) != 2 {
		t.Error("lab up has taken an identity away")
	}
	rotate()
	if now := s.clusterIdentities(t); len(now) != 1 || now[0] == old || !slices.Contains(both, now[0]) {
		t.Fatalf("the cluster has %d identities, want the new one alone", len(now))
	}
	s.push(t, "the old key is gone")
	s.reconcile(t)
	s.doctor(t, 0)
}

// reconcile makes Flux decrypt again, and waits until it has.
func (s *secretScene) reconcile(t *testing.T) {
	t.Helper()
	cluster, kind, at := s.cluster(t, "site-a"), kindOf("Kustomization"), time.Now()
	if err := cluster.RequestReconcile(t.Context(), kind, "flux-system", "secrets", at); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := cluster.Watch(ctx, kind, "flux-system", "secrets", func(object *unstructured.Unstructured, _ bool) (bool, error) {
		handled, _, _ := unstructured.NestedString(object.Object, "status", "lastHandledReconcileAt")
		return handled == object.GetAnnotations()["reconcile.fluxcd.io/requestedAt"], nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// reconciliations is what Flux says of the Kustomizations of a site.
type reconciliations struct {
	mu       sync.Mutex
	seen     map[string]bool // revisions that Kustomization secrets has applied
	failures []string
	log      int64 // how long the controller's log was at the start
	since    time.Time
}

// follow watches the conditions of all Kustomizations until the last step has ended.
func (s *secretScene) follow(t *testing.T) *reconciliations {
	t.Helper()
	r := &reconciliations{seen: map[string]bool{}, since: time.Now()}
	if info, err := os.Stat(s.kustomizeLog(t)); err == nil {
		r.log = info.Size()
	}
	cluster := s.cluster(s.whole, "site-a")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cluster.Watch(ctx, kindOf("Kustomization"), "flux-system", "", func(object *unstructured.Unstructured, _ bool) (bool, error) {
			r.note(object)
			return false, nil
		})
	}()
	s.whole.Cleanup(func() { cancel(); <-ended })
	return r
}

func (s *secretScene) kustomizeLog(t *testing.T) string {
	return filepath.Join(s.labDir(t), "sites", "site-a", "log", "kustomize-controller.log")
}

func (r *reconciliations) note(object *unstructured.Unstructured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if object.GetName() == "secrets" {
		applied, _, _ := unstructured.NestedString(object.Object, "status", "lastAppliedRevision")
		r.seen[applied] = true
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, condition := range conditions {
		c, _ := condition.(map[string]any)
		// To wait for what one depends on is no failure, nor to make way for a newer revision.
		if c["type"] == "Ready" && c["status"] == "False" && c["reason"] != "DependencyNotReady" && c["reason"] != "HealthCheckCanceled" {
			r.failures = append(r.failures, fmt.Sprintf("%s: %v: %v", object.GetName(), c["reason"], c["message"]))
		}
	}
}

func (s *secretScene) noFailure(t *testing.T) {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	for _, failure := range s.watch.failures {
		t.Error(failure)
	}
	// A value, data keys, a reader who comes and goes, a new key, the old one gone,
	// after the first revision. Fewer mean that the watch looked elsewhere.
	if len(s.watch.seen) < 7 {
		t.Errorf("Flux has applied %d revisions: %v", len(s.watch.seen), s.watch.seen)
	}
	data, err := os.ReadFile(s.kustomizeLog(t))
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(data[s.watch.log:])) {
		lines++
		var entry struct{ Level, Msg, Error string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Level == "error" &&
			!strings.Contains(entry.Error, "dependency") && !strings.Contains(entry.Error, "New reconciliation triggered") {
			t.Errorf("kustomize-controller says: %s", line)
		}
	}
	if lines == 0 {
		t.Error("kustomize-controller has logged nothing")
	}
	events, err := s.cluster(t, "site-a").List(t.Context(), schema.GroupVersionKind{Version: "v1", Kind: "Event"}, "flux-system", "")
	if err != nil {
		t.Fatal(err)
	}
	normal := 0
	for _, event := range events {
		about, _, _ := unstructured.NestedString(event.Object, "involvedObject", "kind")
		last, _, _ := unstructured.NestedString(event.Object, "lastTimestamp")
		at, _ := time.Parse(time.RFC3339, last)
		if about != "Kustomization" || at.Before(s.watch.since) {
			continue
		}
		if event.Object["type"] == "Warning" && event.Object["reason"] != "HealthCheckCanceled" {
			t.Errorf("event: %v: %v", event.Object["reason"], event.Object["message"])
		}
		normal++
	}
	if normal == 0 {
		t.Error("kustomize-controller has sent no event")
	}
}

func (s *secretScene) changedByHand(t *testing.T) {
	identity, _, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	err = s.cluster(t, "site-a").Merge(t.Context(), kindOf("Secret"), "flux-system", "sops-age",
		map[string]any{"data": map[string]any{secret.ClusterEntry: base64.StdEncoding.EncodeToString([]byte(identity))}})
	if err != nil {
		t.Fatal(err)
	}
	if said := s.doctor(t, 1); !strings.Contains(said, "cluster-identity-foreign") || !strings.Contains(said, "cluster-identity-stale") {
		t.Errorf("the doctor does not find it:\n%s", said)
	}
	s.must(t, 0, "lab", "up", "site-a")
	s.doctor(t, 0)
}

func (s *secretScene) nothingShown(t *testing.T) {
	if len(s.hidden) < 6 {
		t.Fatalf("only %d values to look for", len(s.hidden))
	}
	check := func(where, text string) {
		for what, value := range s.hidden {
			if strings.Contains(text, value) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(value))) {
				t.Errorf("%s stands in %s", what, where)
			}
		}
	}
	s.mu.Lock()
	check("what archipel printed", s.all.String())
	s.mu.Unlock()
	dir := s.labDir(t)
	processes, err := tool.Running(dir)
	if err != nil || len(processes) < 5 {
		t.Fatalf("%d processes run (%v)", len(processes), err)
	}
	for _, p := range processes {
		for _, file := range []string{"cmdline", "environ"} {
			data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.PID, file))
			check(p.Name+"'s "+file, string(data))
		}
	}
	for _, root := range []string{s.state, s.root} {
		err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			// etcd holds what the API server was given; the file is what the Git server reads.
			if strings.Contains(name, "/etcd/") || strings.HasSuffix(name, "secrets/git-credentials-of-repository") {
				return nil
			}
			data, err := os.ReadFile(name)
			check(name, string(data))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// withoutIdentity takes the operator's identity away: sync goes on, and up says
// why it does not use the repository's secrets.
func (s *secretScene) withoutIdentity(t *testing.T) {
	if err := os.Remove(filepath.Join(s.settings, "sops/age/keys.txt")); err != nil {
		t.Fatal(err)
	}
	s.edit(t, "kubernetes/flux/clusters/site-a/secrets/README.md", "SOPS-encrypted", "Encrypted")
	s.push(t, "something else")
	r := s.must(t, 0, "lab", "up", "site-a", "--timeout=3m")
	if !strings.Contains(r.stderr, "secrets of its own") || !strings.Contains(r.stderr, "no age identity") {
		t.Errorf("up does not say whose secrets it uses:\n%s", r.stderr)
	}
	if mesh := s.value(t, "kube-system", "cilium-ca", "ca.key"); mesh == s.mesh {
		t.Error("the site still has the repository's mesh CA")
	}
	object := get(t, s.cluster(t, "site-a"), "Secret", "flux-system", "sops-age")
	data, _, _ := unstructured.NestedStringMap(object.Object, "data")
	if len(data) != 1 || data["lab.agekey"] == "" {
		t.Error("the site's identity stays in the cluster")
	}
}
