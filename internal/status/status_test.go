package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"archipel/internal/kube"
	"archipel/internal/kube/kubetest"
	"archipel/internal/status"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var update = flag.Bool("update", false, "write the golden files")

func clock() time.Time { return time.Date(2026, 9, 1, 10, 0, 0, 0, time.UTC) }

// site starts an API server that holds the healthy site of testdata/base.yaml,
// changed by the merge patches of a scenario.
func site(t *testing.T, scenario string) *kubetest.Server {
	t.Helper()
	base, err := os.ReadFile("testdata/base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objects := kubetest.Objects(t, base)
	refuse := map[string]int{}
	if scenario != "" {
		data, err := os.ReadFile(scenario)
		if err != nil {
			t.Fatal(err)
		}
		for _, patch := range kubetest.Objects(t, data) {
			directive, _ := patch.Object["$patch"].(string)
			delete(patch.Object, "$patch")
			switch directive {
			case "unknown":
				refuse[patch.GetKind()] = http.StatusNotFound
				continue
			case "forbidden":
				refuse[patch.GetKind()] = http.StatusForbidden
				continue
			}
			at := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool {
				return o.GetKind() == patch.GetKind() && o.GetNamespace() == patch.GetNamespace() && o.GetName() == patch.GetName()
			})
			switch {
			case at < 0 && patch.GetAPIVersion() == "":
				t.Fatalf("%s patches %s %s, which is not in the base", scenario, patch.GetKind(), patch.GetName())
			case at < 0:
				objects = append(objects, patch)
			case directive == "delete":
				objects = slices.Delete(objects, at, at+1)
			default:
				kubetest.Merge(objects[at].Object, patch.Object)
			}
		}
	}
	server := kubetest.Start(t, objects...)
	for kind, code := range refuse {
		server.Refuse(kind, code)
	}
	return server
}

func target(t *testing.T, name string, server *kubetest.Server) status.Target {
	path := server.Kubeconfig(t, name)
	return status.Target{Name: name, Open: func(context.Context) (status.Cluster, error) {
		cluster, err := kube.Open(kube.Config{Paths: []string{path}, Context: name})
		if err != nil {
			return nil, err
		}
		return cluster, nil
	}}
}

// TestScenarios takes a snapshot of each scenario through the real client and
// compares what it says. The messages in testdata/scenarios are those that
// Flux's controllers and Kubernetes write.
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("testdata/scenarios/*.yaml")
	if err != nil || len(paths) < 15 {
		t.Fatalf("%d scenarios, error %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := site(t, path)
			snapshot := status.Take(t.Context(), []status.Target{target(t, "site-a", server)}, status.Options{Now: clock})
			got := describe(snapshot)
			golden := strings.TrimSuffix(path, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			again := describe(status.Take(t.Context(), []status.Target{target(t, "site-a", server)}, status.Options{Now: clock}))
			if again != got {
				t.Errorf("a second snapshot differs:\n%s", again)
			}
		})
	}
}

// describe writes what a snapshot says of its one site, without what is ready.
func describe(s status.Snapshot) string {
	var out strings.Builder
	site := s.Sites[0]
	fmt.Fprintf(&out, "site: %s, exit code %d\n", site.State, s.ExitCode())
	fmt.Fprintf(&out, "revision: %s\n", site.Revision)
	for _, n := range site.Nodes {
		if n.State != status.Ready {
			fmt.Fprintf(&out, "  Node/%s (%s): %s %s\n", n.Name, n.Role, n.State, n.Reason)
		}
	}
	for _, o := range slices.Concat(site.Kustomizations, site.HelmReleases, site.Sources, site.Workloads) {
		if o.State != status.Ready {
			fmt.Fprintf(&out, "  %s: %s %s: %s\n", o.Ref, o.State, o.Reason, o.Message)
		}
	}
	for _, note := range site.Notes {
		fmt.Fprintf(&out, "note: %s\n", note)
	}
	for i, cause := range site.Causes {
		fmt.Fprintf(&out, "cause %d: %s %s %s\n", i+1, cause.Object, cause.State, cause.Reason)
		if cause.Since != nil {
			fmt.Fprintf(&out, "  since: %s\n", cause.Since.Format(time.RFC3339))
		}
		fmt.Fprintf(&out, "  message: %s\n", cause.Message)
		for _, ref := range cause.Affects {
			fmt.Fprintf(&out, "  affects: %s\n", ref)
		}
		if cause.Hint != "" {
			fmt.Fprintf(&out, "  hint: %s\n", cause.Hint)
		}
	}
	for _, line := range site.Waiting() {
		fmt.Fprintf(&out, "waiting: %s\n", line)
	}
	return out.String()
}

func TestHealthySite(t *testing.T) {
	snapshot := status.Take(t.Context(), []status.Target{target(t, "site-a", site(t, ""))}, status.Options{Now: clock})
	s := snapshot.Sites[0]
	if !snapshot.Ready() || snapshot.ExitCode() != 0 || len(s.Causes) != 0 || len(s.Waiting()) != 0 {
		t.Fatalf("not ready: %+v", s)
	}
	if s.KubernetesVersion != "v1.36.4+k3s1" || s.Revision != "main@sha1:2d6f1c9a4b825dc642cb6eb9a060e54bf8d69288" {
		t.Errorf("version %q, revision %q", s.KubernetesVersion, s.Revision)
	}
	var roles []string
	for _, n := range s.Nodes {
		roles = append(roles, n.Name+"="+n.Role)
	}
	if got := strings.Join(roles, " "); got != "site-a-server-1=server site-a-agent-1=agent site-a-agent-2=agent" {
		t.Errorf("nodes are %s", got)
	}
	if len(s.Kustomizations) != 5 || len(s.HelmReleases) != 2 || len(s.Sources) != 6 {
		t.Errorf("%d Kustomizations, %d HelmReleases, %d sources", len(s.Kustomizations), len(s.HelmReleases), len(s.Sources))
	}
	if got := s.HelmReleases[0]; got.Name != "cilium" || got.Version != "1.20.2" {
		t.Errorf("first release is %+v", got)
	}
	if len(s.Workloads) != 5 {
		t.Errorf("%d workloads: those that Flux does not manage do not count", len(s.Workloads))
	}
}

// TestJSONFields holds the names of the JSON fields: they may be added to, never
// changed.
func TestJSONFields(t *testing.T) {
	now := clock()
	full := status.Snapshot{Taken: now, Sites: []status.Site{{
		Name: "site-a", State: status.Failed, Reachable: true, Since: &now, Error: "e", KubernetesVersion: "v1", Revision: "r",
		Nodes:          []status.Node{{Name: "n", Role: "server", Version: "v1", State: status.Failed, Reason: "r", Message: "m", Since: &now}},
		Kustomizations: []status.Object{{Ref: status.Ref{Kind: "Kustomization", Namespace: "ns", Name: "n"}, State: status.Failed, Reason: "r", Message: "m", Since: &now, Revision: "r"}},
		HelmReleases:   []status.Object{{Ref: status.Ref{Kind: "HelmRelease", Namespace: "ns", Name: "n"}, State: status.Ready, Version: "1.0.0"}},
		Sources:        []status.Object{},
		Workloads:      []status.Object{{Ref: status.Ref{Kind: "Deployment", Namespace: "ns", Name: "n"}, State: status.Ready, Replicas: &status.Replicas{Ready: 1, Desired: 1}}},
		Causes:         []status.Cause{{Object: status.Ref{Kind: "Kustomization", Namespace: "ns", Name: "n"}, State: status.Failed, Reason: "r", Message: "m", Hint: "h", Since: &now, Affects: []status.Ref{{Kind: "Kustomization", Namespace: "ns", Name: "o"}}}},
		Notes:          []string{"note"},
	}}}
	got, err := json.MarshalIndent(full, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile("testdata/snapshot.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile("testdata/snapshot.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestListsAreNeverNull(t *testing.T) {
	down := status.Target{Name: "x", Open: func(context.Context) (status.Cluster, error) { return nil, errors.New("no context") }}
	empty := target(t, "y", kubetest.Start(t))
	data, err := json.Marshal(status.Take(t.Context(), []status.Target{down, empty}, status.Options{Now: clock}))
	if err != nil || strings.Contains(string(data), "null") {
		t.Errorf("error %v in %s", err, data)
	}
}

func TestSitesThatDoNotAnswer(t *testing.T) {
	hung := kubetest.Start(t)
	hung.Hang("")
	dead := kubetest.Start(t)
	deadTarget := target(t, "dead", dead)
	dead.Stop()
	died := clock().Add(-time.Hour)
	deadTarget.DownSince = func() (time.Time, bool) { return died, true }
	asked := false
	up := target(t, "up", site(t, ""))
	up.DownSince = func() (time.Time, bool) { asked = true; return died, true }
	block := make(chan struct{})
	t.Cleanup(func() { close(block) })

	targets := []status.Target{
		target(t, "hung", hung),
		deadTarget,
		up,
		{Name: "unknown", Open: func(context.Context) (status.Cluster, error) {
			return nil, &kube.NoContextError{Context: "unknown", Contexts: []string{"site-a"}, Paths: []string{"config"}}
		}},
		{Name: "stuck", Open: func(context.Context) (status.Cluster, error) { <-block; return nil, errors.New("late") }},
		{Name: "hostile", Open: func(context.Context) (status.Cluster, error) {
			return nil, errors.New("bad\x1b[31m\nnews")
		}},
	}
	begun := time.Now()
	snapshot := status.Take(t.Context(), targets, status.Options{Timeout: 500 * time.Millisecond})
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("took %s", took)
	}
	want := []struct{ name, err string }{
		{"hung", "no answer within 500ms"},
		{"dead", strings.TrimPrefix(dead.URL, "https://") + ": connection refused"},
		{"up", ""},
		{"unknown", `no context "unknown" in config: it holds site-a`},
		{"stuck", "no answer within 500ms"},
		{"hostile", "bad[31m news"},
	}
	for i, w := range want {
		s := snapshot.Sites[i]
		if s.Name != w.name || s.Error != w.err || s.Reachable != (w.err == "") {
			t.Errorf("site %d is %s, reachable %v, error %q; want %s, %q", i, s.Name, s.Reachable, s.Error, w.name, w.err)
		}
	}
	if since := snapshot.Sites[1].Since; since == nil || !since.Equal(died) {
		t.Errorf("dead since %v, want %v", since, died)
	}
	if snapshot.Sites[0].Since != nil || asked || snapshot.Sites[2].Since != nil {
		t.Error("a time of death that nobody knows, or of a site that lives")
	}
	if snapshot.ExitCode() != 1 {
		t.Errorf("exit code %d: one site answers", snapshot.ExitCode())
	}
	if code := status.Take(t.Context(), targets[3:4], status.Options{}).ExitCode(); code != 3 {
		t.Errorf("exit code %d: no site answers", code)
	}
	if code := (status.Snapshot{}).ExitCode(); code != 0 {
		t.Errorf("exit code %d: nothing asked, nothing wrong", code)
	}
}

func TestPartialAnswer(t *testing.T) {
	server := site(t, "")
	server.Hang("HelmChart")
	server.Refuse("StatefulSet", http.StatusInternalServerError)
	s := status.Take(t.Context(), []status.Target{target(t, "site-a", server)}, status.Options{Timeout: time.Second}).Sites[0]
	if !s.Reachable || s.State != status.Unknown || len(s.Kustomizations) != 5 {
		t.Errorf("reachable %v, state %s, %d Kustomizations", s.Reachable, s.State, len(s.Kustomizations))
	}
	notes := strings.Join(s.Notes, "\n")
	if !strings.Contains(notes, "HelmCharts not read: no answer within 1s") || !strings.Contains(notes, "StatefulSets not read: listing statefulsets") {
		t.Errorf("notes are %q", notes)
	}
}

func TestInterrupt(t *testing.T) {
	server := kubetest.Start(t)
	server.Hang("")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	begun := time.Now()
	snapshot := status.Take(ctx, []status.Target{target(t, "site-a", server)}, status.Options{Timeout: time.Minute})
	if took := time.Since(begun); took > 2*time.Second || snapshot.Sites[0].Error != "interrupted" {
		t.Errorf("took %s: %q", took, snapshot.Sites[0].Error)
	}
}

// fake is a cluster that counts how many requests it serves at a time.
type fake struct {
	mu            sync.Mutex
	now, most     int
	err           error
	opened, calls int
}

func (f *fake) Version(context.Context) (string, error) {
	f.mu.Lock()
	f.now++
	f.most = max(f.most, f.now)
	f.calls++
	err := f.err
	f.mu.Unlock()
	time.Sleep(5 * time.Millisecond)
	f.mu.Lock()
	f.now--
	f.mu.Unlock()
	return "v1", err
}

func (f *fake) List(context.Context, schema.GroupVersionKind, string, string) ([]unstructured.Unstructured, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return nil, f.err
}

func (f *fake) target(name string) status.Target {
	return status.Target{Name: name, Open: func(context.Context) (status.Cluster, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.opened++
		return f, nil
	}}
}

func TestParallelIsBounded(t *testing.T) {
	f := &fake{}
	var targets []status.Target
	for i := range 20 {
		targets = append(targets, f.target(fmt.Sprint("site-", i)))
	}
	snapshot := status.Take(t.Context(), targets, status.Options{Parallel: 3})
	if f.most > 3 || f.most < 2 {
		t.Errorf("%d sites at a time, want 3", f.most)
	}
	if f.calls != 20 || snapshot.Sites[19].Name != "site-19" {
		t.Errorf("%d sites asked; the last is %s", f.calls, snapshot.Sites[19].Name)
	}
}

func TestWatchRemembersSinceWhen(t *testing.T) {
	f := &fake{}
	now := clock()
	var since []string
	var step int
	err := status.Watch(t.Context(), []status.Target{f.target("site-a")}, status.Options{Now: func() time.Time { return now }}, time.Millisecond, func(s status.Snapshot) bool {
		entry := "up"
		if at := s.Sites[0].Since; at != nil {
			entry = at.Sub(clock()).String()
		}
		since = append(since, entry)
		step++
		now = now.Add(10 * time.Second)
		f.mu.Lock()
		defer f.mu.Unlock()
		switch step {
		case 2, 6:
			f.err = errors.New("connection refused")
		case 4:
			f.err = nil
		}
		return step == 8
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"up", "up", "20s", "20s", "up", "up", "1m0s", "1m0s"}
	if !reflect.DeepEqual(since, want) {
		t.Errorf("down since %v, want %v", since, want)
	}
	// Opened at first, and again after each time it did not answer.
	if f.opened != 4 {
		t.Errorf("opened %d times, want 4", f.opened)
	}
}

func TestWatchOpensOneAtATime(t *testing.T) {
	block := make(chan struct{})
	var mu sync.Mutex
	opened, shown := 0, 0
	stuck := status.Target{Name: "stuck", Open: func(context.Context) (status.Cluster, error) {
		mu.Lock()
		opened++
		mu.Unlock()
		<-block
		return nil, errors.New("late")
	}}
	t.Cleanup(func() { close(block) })
	err := status.Watch(t.Context(), []status.Target{stuck}, status.Options{Timeout: 20 * time.Millisecond}, time.Millisecond, func(s status.Snapshot) bool {
		if s.Sites[0].Reachable {
			t.Error("a site that cannot be opened is reachable")
		}
		shown++
		return shown == 3
	})
	mu.Lock()
	defer mu.Unlock()
	if err != nil || opened != 1 {
		t.Errorf("opened %d times at once, error %v", opened, err)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{}
	err := status.Watch(ctx, []status.Target{f.target("site-a")}, status.Options{}, time.Hour, func(status.Snapshot) bool {
		cancel()
		return false
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
