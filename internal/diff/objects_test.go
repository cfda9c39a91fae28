package diff

import (
	"slices"
	"strings"
	"testing"

	"archipel/internal/render"
	"archipel/internal/schema"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// stage builds a small render by hand: a root, a Kustomization app with the
// spec given, and a HelmRelease below it.
type stage struct {
	t      *testing.T
	result *render.Result
	root   *render.Kustomization
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, result: &render.Result{}}
	s.root = &render.Kustomization{Namespace: "flux-system", Name: "flux-system", Built: true}
	s.result.Kustomizations = append(s.result.Kustomizations, s.root)
	s.root.Object = s.object(s.root, nil, "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: flux-system, namespace: flux-system}\nspec: {prune: true}")
	return s
}

func (s *stage) object(k *render.Kustomization, r *render.Release, text string) *render.Object {
	o := &render.Object{Unstructured: &unstructured.Unstructured{Object: parseYAML(s.t, text)}, Origin: render.Origin{Kustomization: k, Release: r}}
	s.result.Objects = append(s.result.Objects, o)
	return o
}

func (s *stage) kustomization(name, spec string) *render.Kustomization {
	k := &render.Kustomization{Namespace: "flux-system", Name: name, Parent: s.root, Built: true}
	k.Object = s.object(s.root, nil, "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: "+name+", namespace: flux-system}\nspec: "+spec)
	s.result.Kustomizations = append(s.result.Kustomizations, k)
	return k
}

func (s *stage) release(k *render.Kustomization, name, spec string) *render.Release {
	r := &render.Release{Namespace: "flux-system", Name: name, Rendered: true}
	r.Object = s.object(k, nil, "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: "+name+", namespace: flux-system}\nspec: "+spec)
	s.result.Releases = append(s.result.Releases, r)
	return r
}

func configMap(name, extra string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: x" + extra + "}"
}

// find returns the change of a subject, or fails.
func find(t *testing.T, changes []Change, subject string) Change {
	t.Helper()
	i := slices.IndexFunc(changes, func(c Change) bool { return c.Subject == subject })
	if i < 0 {
		t.Fatalf("no change of %s in %+v", subject, changes)
	}
	return changes[i]
}

// TestFate removes an object and asks what becomes of it.
func TestFate(t *testing.T) {
	const app, release = "{prune: true}", "{chart: {}}"
	for name, test := range map[string]struct {
		spec, after string // of the Kustomization; "" when it is gone
		object      string
		want        Action
		why         string
	}{
		"pruned":              {app, app, configMap("a", ""), Deleted, "Kustomization app prunes it"},
		"prune off":           {"{prune: false}", "{prune: false}", configMap("a", ""), LeftBehind, "prune is off"},
		"prune turned on":     {"{prune: false}", app, configMap("a", ""), Deleted, "prunes it"},
		"disabled":            {app, app, configMap("a", ", annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}"), LeftBehind, "annotations"},
		"disabled by label":   {app, app, configMap("a", ", labels: {kustomize.toolkit.fluxcd.io/reconcile: disabled}"), LeftBehind, "annotations"},
		"owner gone":          {app, "", configMap("a", ""), Deleted, "Kustomization app is deleted"},
		"owner gone, off":     {"{prune: false}", "", configMap("a", ""), LeftBehind, "its prune is off"},
		"owner gone, orphan":  {"{prune: true, deletionPolicy: Orphan}", "", configMap("a", ""), LeftBehind, "Orphan"},
		"owner gone, delete":  {"{prune: false, deletionPolicy: Delete}", "", configMap("a", ""), Deleted, "is deleted"},
		"owner gone, suspend": {"{prune: true, suspend: true}", "", configMap("a", ""), LeftBehind, "suspended"},
	} {
		before, after := newStage(t), newStage(t)
		before.object(before.kustomization("app", test.spec), nil, test.object)
		if test.after != "" {
			after.kustomization("app", test.after)
		}
		changes, skipped := Compare("site-a", before.result, after.result, Options{})
		c := find(t, changes, "ConfigMap x/a")
		if c.Action != test.want || !strings.Contains(strings.Join(c.Notes, "; "), test.why) || len(skipped) > 0 {
			t.Errorf("%s: %s, %v, skipped %v, want %s, %q", name, c.Action, c.Notes, skipped, test.want, test.why)
		}
	}
	for name, test := range map[string]struct {
		gone   bool // the HelmRelease
		spec   string
		object string
		crd    bool
		want   Action
	}{
		"upgraded":    {false, release, configMap("a", ""), false, Deleted},
		"uninstalled": {true, release, configMap("a", ""), false, Deleted},
		"suspended":   {true, "{suspend: true}", configMap("a", ""), false, LeftBehind},
		"kept":        {false, release, configMap("a", ", annotations: {helm.sh/resource-policy: keep}"), false, LeftBehind},
		"definition":  {true, release, configMap("a", ""), true, LeftBehind},
	} {
		before, after := newStage(t), newStage(t)
		r := before.release(before.kustomization("app", app), "chart", test.spec)
		before.object(nil, r, test.object).Origin.CRD = test.crd
		k := after.kustomization("app", app)
		if !test.gone {
			after.release(k, "chart", test.spec)
		}
		changes, _ := Compare("site-a", before.result, after.result, Options{})
		if c := find(t, changes, "ConfigMap x/a"); c.Action != test.want {
			t.Errorf("release %s: %s, %v, want %s", name, c.Action, c.Notes, test.want)
		}
	}
}

// TestNotRendered keeps what could not be rendered from looking deleted or new.
func TestNotRendered(t *testing.T) {
	before, after := newStage(t), newStage(t)
	k := before.kustomization("app", "{prune: true}")
	before.object(k, nil, configMap("a", ""))
	before.object(nil, before.release(k, "chart", "{}"), configMap("b", ""))
	after.kustomization("app", "{prune: true}").Built = false
	after.result.Skipped = []render.Skip{{Code: "chart-unavailable", Reason: "no\x1b chart", Object: "x"}}
	for range 2 {
		changes, skipped := Compare("site-a", before.result, after.result, Options{Before: "one", After: "two"})
		if len(changes) > 0 || len(skipped) != 2 || strings.ContainsRune(skipped[0].Reason+skipped[1].Reason, '\x1b') {
			t.Errorf("%+v, %+v", changes, skipped)
		}
		before, after = after, before
	}
}

func TestSiteGone(t *testing.T) {
	before := newStage(t)
	before.object(before.kustomization("app", "{prune: true}"), nil, configMap("a", ""))
	changes, _ := Compare("site-a", before.result, nil, Options{})
	if c := find(t, changes, "ConfigMap x/a"); c.Action != LeftBehind {
		t.Errorf("%+v", c)
	}
	changes, _ = Compare("site-a", nil, before.result, Options{})
	if c := find(t, changes, "ConfigMap x/a"); c.Action != Created || len(changes) != 3 {
		t.Errorf("%+v", changes)
	}
}

func TestMoved(t *testing.T) {
	for _, test := range []struct {
		prune  string
		helm   bool
		danger string
	}{{"{prune: true}", false, "deleted and created again"}, {"{prune: false}", false, ""}, {"{prune: false}", true, "even after another has taken it over"}} {
		before, after := newStage(t), newStage(t)
		one, other := before.kustomization("one", test.prune), after.kustomization("other", "{prune: true}")
		before.kustomization("other", "{prune: true}")
		k := after.kustomization("one", test.prune)
		if test.helm {
			before.object(nil, before.release(one, "chart", "{}"), configMap("a", ""))
			after.release(k, "chart", "{}")
		} else {
			before.object(one, nil, configMap("a", ""))
		}
		after.object(other, nil, configMap("a", ""))
		changes, _ := Compare("site-a", before.result, after.result, Options{})
		c := find(t, changes, "ConfigMap x/a")
		if c.Action != Moved || c.Former == "" || !strings.Contains(strings.Join(c.Dangers, ";"), test.danger) || (test.danger == "") != (len(c.Dangers) == 0) {
			t.Errorf("%+v: %+v", test, c)
		}
	}
}

func TestDangers(t *testing.T) {
	for name, test := range map[string]struct {
		before, after string // "" for none
		want          string // part of a danger, "" for no danger
	}{
		"namespace":     {"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}", "", "everything in the namespace"},
		"definition":    {"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}", "", "every object of the kind"},
		"claim":         {"apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: a}", "", "its data"},
		"stateful set":  {"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}", "", "holds state"},
		"release":       {"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: a}", "", "uninstalled"},
		"config map":    {configMap("a", ""), "", ""},
		"prune":         {"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {prune: false}", "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {prune: true}", "prune is turned on"},
		"prune off":     {"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {prune: true}", "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {prune: false}", ""},
		"policy":        {"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {deletionPolicy: Orphan}", "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {}", "deletionPolicy"},
		"other group":   {"apiVersion: kustomize.config.k8s.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {prune: false}", "apiVersion: kustomize.config.k8s.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {prune: true}", ""},
		"release name":  {"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: a}\nspec: {releaseName: a}", "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: a}\nspec: {releaseName: b}", "installs it anew"},
		"selector":      {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {app: a}}", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {app: b}}", "selector"},
		"zero":          {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 2}", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 0}", "scaled to zero"},
		"one":           {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 2}", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 1}", ""},
		"pool":          {"apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: a}\nspec: {autoAssign: true}", "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: a}\nspec: {autoAssign: false}", "network layer (MetalLB)"},
		"mesh CA":       {"apiVersion: v1\nkind: Secret\nmetadata: {name: cilium-ca, namespace: kube-system}\ndata: {a: YQ==}", "apiVersion: v1\nkind: Secret\nmetadata: {name: cilium-ca, namespace: kube-system}\ndata: {a: Yg==}", "certificate authority"},
		"cilium labels": {"apiVersion: cilium.io/v2\nkind: X\nmetadata: {name: a, labels: {helm.sh/chart: a}}", "apiVersion: cilium.io/v2\nkind: X\nmetadata: {name: a, labels: {helm.sh/chart: b}}", ""},
	} {
		before, after := newStage(t), newStage(t)
		before.object(before.kustomization("app", "{prune: true}"), nil, test.before)
		k := after.kustomization("app", "{prune: true}")
		if test.after != "" {
			after.object(k, nil, test.after)
		}
		changes, _ := Compare("site-a", before.result, after.result, Options{})
		if len(changes) != 1 {
			t.Errorf("%s: %+v", name, changes)
			continue
		}
		if got := strings.Join(changes[0].Dangers, "; "); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestCiliumSettings tells the settings of Cilium apart, in the chart's values
// and in its ConfigMap.
func TestCiliumSettings(t *testing.T) {
	for path, want := range map[string]string{
		"spec.values.cluster.id": "identity", "spec.values.cluster.name": "identity", `data["cluster-id"]`: "identity",
		"spec.values.encryption.enabled": "no mixed mode", `data["enable-wireguard"]`: "no mixed mode",
		"spec.values.routingMode": "datapath", `data["routing-mode"]`: "datapath", "spec.values.ipam.mode": "datapath",
		"spec.values.ipv4NativeRoutingCIDR": "network range", `data["ipv4-native-routing-cidr"]`: "network range",
		"spec.values.operator.replicas": "", "spec.values.hubble.enabled": "",
	} {
		o := &render.Object{Unstructured: &unstructured.Unstructured{Object: parseYAML(t, configMap("cilium-config", ""))}}
		o.Origin.Release = &render.Release{Chart: render.Chart{Name: "cilium"}}
		if got := strings.Join(fieldDanger(o, Field{Path: path}), "; "); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestImmutable(t *testing.T) {
	refuse := func(_, _ map[string]any) []schema.Problem {
		return []schema.Problem{{Path: []string{"spec", "selector"}}}
	}
	for spec, want := range map[string]string{"{prune: true}": "the API server refuses it: spec.selector", "{prune: true, force: true}": "deleted and created again"} {
		before, after := newStage(t), newStage(t)
		before.object(before.kustomization("app", spec), nil, configMap("a", "")+"\ndata: {a: b}")
		after.object(after.kustomization("app", spec), nil, configMap("a", "")+"\ndata: {a: c}")
		changes, _ := Compare("site-a", before.result, after.result, Options{Immutable: refuse})
		if c := find(t, changes, "ConfigMap x/a"); !strings.Contains(strings.Join(c.Dangers, ";"), want) {
			t.Errorf("%s: %+v", spec, c)
		}
	}
}

// TestSecretsOfSites masks what a Secret gave to an object that is none, and
// what a new or deleted Secret holds.
func TestSecretsOfSites(t *testing.T) {
	before, after := newStage(t), newStage(t)
	k := before.kustomization("app", "{prune: true}")
	l := after.kustomization("app", "{prune: true}")
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: NAME, namespace: x}\ndata: {token: " + canary + "}\nstringData: {more: " + canary + "}"
	before.object(k, nil, strings.Replace(secret, "NAME", "old", 1))
	after.object(l, nil, strings.Replace(secret, "NAME", "new", 1))
	before.object(k, nil, configMap("a", "")+"\ndata: {a: x}")
	after.object(l, nil, configMap("a", "")+"\ndata: {a: 'substituted "+canary+"', b: plain}")
	changes, skipped := compare("site-a", before.result, after.result, Options{}, func(text string) bool { return strings.Contains(text, canary) })
	c := NewCollector()
	c.Add(changes)
	c.Skip(skipped)
	for format, out := range outputs(t, c.Report("a", "b", []string{"site-a"}, 1)) {
		if strings.Contains(out, canary) || !strings.Contains(out, "plain") {
			t.Errorf("%s:\n%s", format, out)
		}
	}
}

func TestNothing(t *testing.T) {
	before, after := newStage(t), newStage(t)
	for _, s := range []*stage{before, after} {
		s.object(s.kustomization("app", "{prune: true}"), nil, configMap("a", ""))
	}
	if changes, skipped := Compare("site-a", before.result, after.result, Options{}); len(changes)+len(skipped) > 0 {
		t.Errorf("%+v %+v", changes, skipped)
	}
}
