package kube_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"archipel/internal/kube"
	"archipel/internal/kube/kubetest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func open(t *testing.T, paths ...string) *kube.Cluster {
	t.Helper()
	cluster, err := kube.Open(kube.Config{Paths: paths, Context: "site-a"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

func objects(t *testing.T, text string) []*unstructured.Unstructured {
	return kubetest.Objects(t, []byte(text))
}

func TestOpenFindsTheKubeconfig(t *testing.T) {
	server := kubetest.Start(t)
	a, b := server.Kubeconfig(t, "site-a"), server.Kubeconfig(t, "site-b")
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".kube"), 0o700); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(b)
	if err := os.WriteFile(filepath.Join(home, ".kube", "config"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("clusters: {"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	both := a + string(filepath.ListSeparator) + b
	tests := []struct {
		name   string
		config kube.Config
		want   string // part of the error; "" means none
	}{
		{"given path", kube.Config{Paths: []string{a}, Context: "site-a"}, ""},
		{"given paths are merged", kube.Config{Paths: []string{a, b}, Context: "site-b"}, ""},
		{"KUBECONFIG", kube.Config{Context: "site-b", Getenv: env("KUBECONFIG", both)}, ""},
		{"KUBECONFIG may name a missing file", kube.Config{Context: "site-a", Getenv: env("KUBECONFIG", a+string(filepath.ListSeparator)+"/nowhere/config")}, ""},
		{"home", kube.Config{Context: "site-b", Getenv: env("HOME", home)}, ""},
		{"a given path wins over KUBECONFIG", kube.Config{Paths: []string{a}, Context: "site-b", Getenv: env("KUBECONFIG", b)}, `it holds site-a`},
		{"given path must exist", kube.Config{Paths: []string{"/nowhere/config"}, Context: "site-a"}, "no such file"},
		{"no such context", kube.Config{Paths: []string{a, b}, Context: "site-c"}, "it holds site-a, site-b"},
		{"no context at all", kube.Config{Context: "site-a", Getenv: env("KUBECONFIG", "/nowhere/config")}, "holds no context at all"},
		{"nothing to look at", kube.Config{Context: "site-a"}, "set KUBECONFIG"},
		{"no YAML", kube.Config{Paths: []string{broken}, Context: "site-a"}, "reading kubeconfig"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cluster, err := kube.Open(test.config)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := cluster.Version(t.Context()); err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got error %v, want one with %q", err, test.want)
			}
		})
	}
	var missing *kube.NoContextError
	if _, err := kube.Open(kube.Config{Paths: []string{a, b}, Context: "x"}); !errors.As(err, &missing) || !slices.Equal(missing.Contexts, []string{"site-a", "site-b"}) {
		t.Errorf("error %v does not list the contexts", err)
	}
}

func TestReadyNamesTheFailingChecks(t *testing.T) {
	server := kubetest.Start(t)
	cluster := open(t, server.Kubeconfig(t, "site-a"))
	if err := cluster.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.NotReady("etcd", "poststarthook/rbac/bootstrap-roles")
	err := cluster.Ready(t.Context())
	if want := cluster.Server() + " is not ready: etcd, poststarthook/rbac/bootstrap-roles"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestListSelects(t *testing.T) {
	server := kubetest.Start(t, objects(t, `
apiVersion: v1
kind: Secret
metadata: {name: a, namespace: one, labels: {app: x}}
---
apiVersion: v1
kind: Secret
metadata: {name: b, namespace: one}
---
apiVersion: v1
kind: Secret
metadata: {name: c, namespace: two, labels: {app: x}}
`)...)
	cluster := open(t, server.Kubeconfig(t, "site-a"))
	for _, test := range []struct{ namespace, labels, want string }{
		{"", "", "a b c"}, {"one", "", "a b"}, {"", "app=x", "a c"}, {"two", "app=x", "c"}, {"none", "", ""},
	} {
		list, err := cluster.List(t.Context(), kube.Kind("Secret"), test.namespace, test.labels)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, item := range list {
			names = append(names, item.GetName())
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("List(%q, %q) = %q, want %q", test.namespace, test.labels, got, test.want)
		}
	}
	for _, request := range server.Requests() {
		if strings.HasSuffix(request, "/api/v1") {
			t.Errorf("listing a well-known kind asked for discovery: %s", request)
		}
	}
}

func TestAnswersKeepTheirType(t *testing.T) {
	server := kubetest.Start(t)
	cluster := open(t, server.Kubeconfig(t, "site-a"))
	server.Refuse("HelmRelease", http.StatusNotFound)
	if _, err := cluster.List(t.Context(), kube.Kind("HelmRelease"), "", ""); !apierrors.IsNotFound(err) {
		t.Errorf("a kind that is not served: %v", err)
	}
	server.Refuse("Secret", http.StatusForbidden)
	if _, err := cluster.List(t.Context(), kube.Kind("Secret"), "", ""); !apierrors.IsForbidden(err) {
		t.Errorf("a kind that may not be listed: %v", err)
	}
	if _, err := cluster.Get(t.Context(), kube.Kind("ConfigMap"), "one", "none"); !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), "reading ConfigMap one/none") {
		t.Errorf("an object that does not exist: %v", err)
	}
	var unknown *kube.NoKindError
	if _, err := cluster.List(t.Context(), schema.GroupVersionKind{Group: "metallb.io", Version: "v1beta1", Kind: "IPAddressPool"}, "", ""); !errors.As(err, &unknown) {
		t.Errorf("a kind without definition: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	server := kubetest.Start(t)
	config := server.Kubeconfig(t, "site-a")
	rewrite := func(old, replacement string) string {
		data, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.ReplaceAll(string(data), old, replacement)
		if changed == string(data) {
			t.Fatalf("no %q in the kubeconfig", old)
		}
		path := filepath.Join(t.TempDir(), "kubeconfig")
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	hangup, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hangup.Close() })
	go func() {
		for {
			conn, err := hangup.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()

	tests := []struct{ name, path, want string }{
		{"refused", rewrite(server.URL, "https://"+closed.Addr().String()), closed.Addr().String() + ": connection refused"},
		{"hung up", rewrite(server.URL, "https://"+hangup.Addr().String()), "connection closed"},
		{"no TLS", rewrite(server.URL, "https://"+plain.Listener.Addr().String()), "does not speak TLS"},
		{"wrong host", rewrite("127.0.0.1", "localhost"), "certificate is for another host"},
		{"credentials", rewrite("token: test", "token: old"), "credentials refused"},
		{"no answer", rewrite(server.URL, "https://"+silent.Addr().String()), "deadline exceeded"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begun := time.Now()
			_, err := open(t, test.path).Version(ctx)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("took %s", took)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

const pool = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ipaddresspools.metallb.io}
spec:
  group: metallb.io
  scope: Namespaced
  names: {kind: IPAddressPool, plural: ipaddresspools}
  versions: [{name: v1beta1, served: true, storage: true}]
`

const rest = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: default, namespace: metallb-system, creationTimestamp: null}
spec: {addresses: [198.51.100.200-198.51.100.220]}
---
apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
---
` + pool

func TestApplyAllBringsDefinitionsFirst(t *testing.T) {
	server := kubetest.Start(t)
	cluster := open(t, server.Kubeconfig(t, "site-a"))
	// Twice: applying again is the resume.
	for range 2 {
		if err := cluster.ApplyAll(t.Context(), objects(t, rest), kube.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	kind := schema.GroupVersionKind{Group: "metallb.io", Version: "v1beta1", Kind: "IPAddressPool"}
	got, err := cluster.Get(t.Context(), kind, "metallb-system", "default")
	if err != nil {
		t.Fatal(err)
	}
	if addresses, _, _ := unstructured.NestedStringSlice(got.Object, "spec", "addresses"); !slices.Equal(addresses, []string{"198.51.100.200-198.51.100.220"}) {
		t.Errorf("applied %v", got.Object)
	}
	discoveries := 0
	for _, request := range server.Requests() {
		if request == "GET /apis/metallb.io/v1beta1" {
			discoveries++
		}
	}
	if discoveries != 1 {
		t.Errorf("asked for the same kinds %d times", discoveries)
	}
}

func TestApplyRefuses(t *testing.T) {
	server := kubetest.Start(t, objects(t, `
apiVersion: v1
kind: Namespace
metadata: {name: one}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: owned, namespace: one, annotations: {kubetest/owner: kubectl}}
data: {a: b}
`)...)
	cluster := open(t, server.Kubeconfig(t, "site-a"))
	apply := func(text string, force bool) error {
		_, err := cluster.Apply(t.Context(), objects(t, text)[0], kube.ApplyOptions{Force: force})
		return err
	}
	const owned = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owned, namespace: one}\ndata: {a: c}\n"
	if err := apply(owned, false); !apierrors.IsConflict(err) {
		t.Errorf("another manager's field: %v", err)
	}
	if err := apply(owned, true); err != nil {
		t.Errorf("another manager's field, by force: %v", err)
	}
	for _, test := range []struct{ text, want string }{
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "applying ConfigMap a: metadata.namespace is missing"},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: one}\n", "needs apiVersion, kind and metadata.name"},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: two}\n", `namespaces "two" not found`},
		{"apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: a, namespace: one}\n", "knows no kind IPAddressPool"},
	} {
		if err := apply(test.text, false); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}

func TestApplyLeavesOutWhatTheServerSets(t *testing.T) {
	server := kubetest.Start(t, objects(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: one}\n")...)
	cluster := open(t, server.Kubeconfig(t, "site-a"))
	live, err := cluster.Get(t.Context(), kube.Kind("Namespace"), "", "one")
	if err != nil {
		t.Fatal(err)
	}
	live.SetLabels(map[string]string{"a": "b"})
	before := live.GetResourceVersion()
	if _, err := cluster.Apply(t.Context(), live, kube.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	if live.GetResourceVersion() != before {
		t.Error("Apply changed its argument")
	}
}

func TestApplyStatusGoesToTheSubresource(t *testing.T) {
	server := kubetest.Start(t, objects(t, "apiVersion: v1\nkind: Node\nmetadata: {name: a}\n")...)
	cluster := open(t, server.Kubeconfig(t, "site-a"))
	node := objects(t, "apiVersion: v1\nkind: Node\nmetadata: {name: a}\nstatus: {phase: Running}\n")[0]
	if _, err := cluster.Apply(t.Context(), node, kube.ApplyOptions{Status: true}); err != nil {
		t.Fatal(err)
	}
	if requests := server.Requests(); requests[len(requests)-1] != "PATCH /api/v1/nodes/a/status" {
		t.Errorf("asked for %v", requests)
	}
}

func TestRequestReconcileAndDelete(t *testing.T) {
	server := kubetest.Start(t, objects(t, `
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: flux-system, namespace: flux-system, annotations: {kept: "yes"}}
`)...)
	cluster := open(t, server.Kubeconfig(t, "site-a"))
	at := time.Date(2026, 9, 1, 10, 0, 0, 5, time.UTC)
	if err := cluster.RequestReconcile(t.Context(), kube.Kind("GitRepository"), "flux-system", "flux-system", at); err != nil {
		t.Fatal(err)
	}
	got, err := cluster.Get(t.Context(), kube.Kind("GitRepository"), "flux-system", "flux-system")
	if err != nil {
		t.Fatal(err)
	}
	if a := got.GetAnnotations(); a["reconcile.fluxcd.io/requestedAt"] != "2026-09-01T10:00:00.000000005Z" || a["kept"] != "yes" {
		t.Errorf("annotations are %v", a)
	}
	for range 2 { // what is gone already is no error
		if err := cluster.Delete(t.Context(), kube.Kind("GitRepository"), "flux-system", "flux-system"); err != nil {
			t.Fatal(err)
		}
	}
	if err := cluster.RequestReconcile(t.Context(), kube.Kind("GitRepository"), "flux-system", "flux-system", at); !apierrors.IsNotFound(err) {
		t.Errorf("annotating what is gone: %v", err)
	}
}

func TestWatchSeesWhatIsThereAndWhatComes(t *testing.T) {
	configMap := func(name string) *unstructured.Unstructured {
		return objects(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+name+", namespace: one}\n")[0]
	}
	server := kubetest.Start(t, configMap("first"))
	cluster := open(t, server.Kubeconfig(t, "site-a"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var seen []string
	err := cluster.Watch(ctx, kube.Kind("ConfigMap"), "one", "", func(object *unstructured.Unstructured, deleted bool) (bool, error) {
		name := object.GetName()
		switch {
		case deleted:
			seen = append(seen, "-"+name)
			return true, nil
		case name == "first":
			server.Put(configMap("second"))
		case name == "second":
			server.Remove(schema.GroupKind{Kind: "ConfigMap"}, "one", "first")
		}
		seen = append(seen, "+"+name)
		return false, nil
	})
	if err != nil || !slices.Equal(seen, []string{"+first", "+second", "-first"}) {
		t.Errorf("saw %v, error %v", seen, err)
	}

	boom := errors.New("boom")
	err = cluster.Watch(ctx, kube.Kind("ConfigMap"), "one", "second", func(*unstructured.Unstructured, bool) (bool, error) { return false, boom })
	if !errors.Is(err, boom) {
		t.Errorf("an error of the caller came back as %v", err)
	}

	short, cancelShort := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancelShort()
	err = cluster.Watch(short, kube.Kind("ConfigMap"), "one", "none", func(*unstructured.Unstructured, bool) (bool, error) { return false, nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a watch that sees nothing ended with %v", err)
	}
}

func TestWatchEndsWhenTheServerDies(t *testing.T) {
	server := kubetest.Start(t)
	cluster := open(t, server.Kubeconfig(t, "site-a"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	go func() {
		time.Sleep(100 * time.Millisecond)
		server.Stop()
	}()
	err := cluster.Watch(ctx, kube.Kind("Node"), "", "", func(*unstructured.Unstructured, bool) (bool, error) { return false, nil })
	var gone *kube.UnreachableError
	if !errors.As(err, &gone) {
		t.Errorf("got %v", err)
	}
}
