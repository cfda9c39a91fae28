package bootstrap

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"

	"archipel/internal/fleet"
	"archipel/internal/render"
	"archipel/internal/secret"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func object(kind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": kind}}
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

// rendered is what a site begins with, and what it does not.
func rendered() (*render.Result, []*unstructured.Unstructured) {
	cilium := &render.Release{Namespace: "flux-system", Name: "cilium", ReleaseName: "cilium", TargetNamespace: "kube-system"}
	other := &render.Release{Namespace: "flux-system", Name: "whoami", ReleaseName: "whoami", TargetNamespace: "whoami"}
	of := func(name string) *render.Kustomization {
		return &render.Kustomization{Namespace: "flux-system", Name: name}
	}
	result := &render.Result{
		Objects: []*render.Object{
			{Unstructured: object("DaemonSet", "kube-system", "cilium"), Origin: render.Origin{Release: cilium, Kustomization: of("cilium"), Unsure: []string{"now"}}},
			{Unstructured: object("Job", "kube-system", "cilium-hook"), Origin: render.Origin{Release: cilium, Hook: true}},
			{Unstructured: object("CustomResourceDefinition", "", "of-cilium"), Origin: render.Origin{Release: cilium, CRD: true}},
			{Unstructured: object("Deployment", "whoami", "whoami"), Origin: render.Origin{Release: other}},
			{Unstructured: object("HelmRelease", "flux-system", "cilium"), Origin: render.Origin{Kustomization: of("cilium")}},
			{Unstructured: object("Deployment", "flux-system", "helm-controller"), Origin: render.Origin{Kustomization: of("flux")}},
			{Unstructured: object("Secret", "kube-system", "cilium-ca"), Origin: render.Origin{Kustomization: of("secrets"), Decrypted: true}},
			{Unstructured: object("Secret", "flux-system", "flux-system"), Origin: render.Origin{Kustomization: of("secrets"), Decrypted: true}},
			{Unstructured: object("Secret", "app", "later"), Origin: render.Origin{Kustomization: of("secrets"), Decrypted: true}},
		},
		Skipped: []render.Skip{{Code: "chart-random", Object: "HelmRelease flux-system/cilium"}, {Code: "chart-unavailable", Object: "HelmRelease flux-system/whoami"}},
	}
	git := object("GitRepository", "flux-system", "flux-system")
	git.Object["spec"] = map[string]any{"secretRef": map[string]any{"name": "flux-system"}}
	return result, []*unstructured.Unstructured{
		object("ConfigMap", "flux-system", "site"), git, object("Kustomization", "flux-system", "flux-system"),
		object("Kustomization", "flux-system", "cilium"), object("OCIRepository", "flux-system", "flux-manifests"),
	}
}

func decoded(t *testing.T, vars map[string]any, name string) string {
	t.Helper()
	text, _ := vars[name].(string)
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) == 0 {
		t.Fatalf("%s is %q: %v", name, text, err)
	}
	return string(data)
}

// names lists the objects of a stream.
func names(stream string) string {
	var all []string
	kind := ""
	for line := range strings.Lines(stream) {
		if text, ok := strings.CutPrefix(line, "kind: "); ok {
			kind = strings.TrimSpace(text)
		}
		if text, ok := strings.CutPrefix(line, "  name: "); ok {
			all = append(all, kind+"/"+strings.TrimSpace(text))
		}
	}
	return strings.Join(all, " ")
}

func TestManifestVariables(t *testing.T) {
	result, root := rendered()
	s := &Secrets{first: &secret.FirstSecrets{Identities: []string{"AGE-1", "AGE-2"}}}
	vars, secrets, err := ManifestVariables("site-a", result, root, s)
	if err != nil {
		t.Fatal(err)
	}
	cilium := decoded(t, vars, "flux_bootstrap_cilium_b64")
	check(t, "cilium", names(cilium), "DaemonSet/cilium CustomResourceDefinition/of-cilium")
	daemonSet, definition, _ := strings.Cut(strings.TrimPrefix(cilium, "---\n"), "---\n")
	for _, want := range []string{"app.kubernetes.io/managed-by: Helm", "meta.helm.sh/release-name: cilium", "meta.helm.sh/release-namespace: kube-system"} {
		if !strings.Contains(daemonSet, want) || strings.Contains(definition, want) {
			t.Errorf("%s is not where Helm writes it:\n%s", want, cilium)
		}
	}
	if result.Objects[0].GetLabels() != nil {
		t.Error("what was rendered has changed")
	}
	check(t, "flux", names(decoded(t, vars, "flux_bootstrap_flux_b64")), "Deployment/helm-controller")
	check(t, "sync", names(decoded(t, vars, "flux_bootstrap_sync_b64")), "ConfigMap/site GitRepository/flux-system Kustomization/flux-system")
	first := decoded(t, secrets, "flux_bootstrap_secrets_b64")
	check(t, "secrets", names(first), "Secret/cilium-ca Secret/flux-system Secret/sops-age")
	if !strings.Contains(first, "AGE-1\n") || !strings.Contains(first, "AGE-2\n") {
		t.Errorf("an identity is missing:\n%s", first)
	}
	if len(vars) != 3 || len(secrets) != 1 {
		t.Error("a variable is not where it belongs")
	}
}

func TestManifestVariablesRefuse(t *testing.T) {
	s := &Secrets{first: &secret.FirstSecrets{Identities: []string{"AGE-1"}}}
	for name, test := range map[string]struct {
		change func(*render.Result)
		want   string
	}{
		"skipped":       {func(r *render.Result) { r.Skipped[0].Code, r.Skipped[0].Reason = "chart-unavailable", "no network" }, "HelmRelease flux-system/cilium is left out, because no network"},
		"random":        {func(r *render.Result) { r.Objects[0].Origin.Unsure = []string{"genCA", "now"} }, "DaemonSet cilium differs at each installation (genCA)"},
		"no Cilium":     {func(r *render.Result) { r.Objects = r.Objects[3:] }, "no HelmRelease flux-system/cilium"},
		"no Flux":       {func(r *render.Result) { r.Objects[5].Origin.Kustomization.Name = "x" }, "flux-system/flux gives nothing"},
		"sealed":        {func(r *render.Result) { r.Objects[6].Origin.Opaque = true }, "no age identity at hand opens the Secrets cilium-ca"},
		"no mesh CA":    {func(r *render.Result) { r.Objects[6].SetName("x") }, "no mesh CA"},
		"no Git secret": {func(r *render.Result) { r.Objects[7].SetName("x") }, "with which Flux reads Git"},
	} {
		result, root := rendered()
		test.change(result)
		if _, _, err := ManifestVariables("site-a", result, root, s); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	result, root := rendered()
	if _, _, err := ManifestVariables("site-a", result, root[:1], s); err == nil || !strings.Contains(err.Error(), "GitRepository and Kustomization") {
		t.Errorf("got %v", err)
	}
}

func TestLinkVariables(t *testing.T) {
	site := testSite().Site
	other := &fleet.Site{
		Name: "site-b", Gateways: []string{"b2", "b1"},
		Facts: fleet.Facts{NodeCIDR: netip.MustParsePrefix("203.0.113.0/24"), PodCIDR: netip.MustParsePrefix("10.65.0.0/16")},
		Nodes: []fleet.Node{{Name: "b1", WireGuardEndpoint: "203.0.113.11:51820"}, {Name: "b2", WireGuardEndpoint: "vpn.example.org:51820"}},
	}
	f := &fleet.Fleet{Sites: []*fleet.Site{site, other}}
	repo := fstest.MapFS{secret.PublicFile("site-b"): {Data: []byte("wireguard_public_keys:\n  b1: K1\n  b2: K2\n")}}
	vars, err := LinkVariables(repo, f, site)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "variables", vars, map[string]any{
		"site_name": "site-a", "site_link_gateways": []string{"site-a-server-1"},
		"site_link_peers": []any{map[string]any{"name": "site-b", "node_cidr": "203.0.113.0/24", "pod_cidr": "10.65.0.0/16", "gateways": []any{
			map[string]any{"name": "b2", "endpoint": "vpn.example.org:51820", "public_key": "K2"},
			map[string]any{"name": "b1", "endpoint": "203.0.113.11:51820", "public_key": "K1"},
		}}},
	})
	delete(repo, secret.PublicFile("site-b"))
	_, err = LinkVariables(repo, f, site)
	if missing, ok := errors.AsType[*MissingKeyError](err); !ok || missing.Node != "b2" {
		t.Errorf("got %v", err)
	}
	site.Facts.Interconnect = "none"
	vars, err = LinkVariables(repo, f, site)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "routed", vars["site_link_peers"], []any{})
}

// A server that is given another token than its data is encrypted with does not start.
func TestServersKeepTheirTokenWhileItIsReplaced(t *testing.T) {
	dir := t.TempDir()
	store, err := secret.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	identity, _, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := secret.LoadKeyring(func(name string) string {
		return map[string]string{secret.KeyVariable: identity}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet.Fleet{Sites: []*fleet.Site{{Name: "site-a", Facts: fleet.Facts{GitURL: "https://git.example.org/fleet.git", Interconnect: "none"}}}}
	err = secret.Init(store, f, keys, secret.InitOptions{
		Operator: "ann", Say: func(string) {}, Password: func(string) (string, string, bool, error) { return "", "", false, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := OpenSecrets(store, keys.Identities, "site-a")
	if err != nil || opened.KeepsToken {
		t.Fatalf("keeps %t (%v)", opened != nil && opened.KeepsToken, err)
	}
	before := opened.Variables[serverToken]
	file, data, err := secret.OpenFile(store, keys.Identities, secret.AnsibleFile("site-a"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]any{serverToken: secret.NewToken(), serverToken + "_previous": before} {
		if _, err := file.Set([]string{name}, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := secret.WriteFile(store, keys.Identities, file, data); err != nil {
		t.Fatal(err)
	}
	opened, err = OpenSecrets(store, keys.Identities, "site-a")
	if err != nil || !opened.KeepsToken || opened.Variables[serverToken] != before {
		t.Errorf("keeps %t (%v)", opened != nil && opened.KeepsToken, err)
	}
}
