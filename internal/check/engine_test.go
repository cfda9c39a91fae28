package check

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"archipel/internal/finding"
	"archipel/internal/fleet"
	"archipel/internal/policy"
	"archipel/internal/render"
)

const whoamiApp = "kubernetes/flux/apps/whoami/app/"

// norway has two findings of yaml-bool-ambiguous in one file, and one in a file of site-a.
func norway(more string) *txtar.Archive {
	return txtar.Parse([]byte(inWhoami("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: example\n  namespace: whoami\n  labels:\n    a: no\n    b: yes\n") +
		"-- kubernetes/flux/clusters/site-a/secrets/odd.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: odd\n  namespace: whoami\n  labels:\n    a: on\n" + more))
}

func TestPolicy(t *testing.T) {
	for name, test := range map[string]struct {
		policy  string
		want    []string // of yaml-bool-ambiguous and of the policy's rules
		ignored int
	}{
		"none":    {"", []string{"warning yaml-bool-ambiguous", "warning yaml-bool-ambiguous", "warning yaml-bool-ambiguous"}, 0},
		"raised":  {"severities:\n  yaml-bool-ambiguous: error\n", []string{"error yaml-bool-ambiguous", "error yaml-bool-ambiguous", "error yaml-bool-ambiguous"}, 0},
		"off":     {"severities:\n  yaml-bool-ambiguous: off\n", nil, 0},
		"ignored": {"ignores:\n- {rule: yaml-bool-ambiguous, path: kubernetes/flux/apps/**, reason: because}\n", []string{"warning yaml-bool-ambiguous"}, 2},
		"elsewhere": {
			"ignores:\n- {rule: yaml-bool-ambiguous, path: kubernetes/ansible/**, reason: because}\n",
			[]string{"warning ignore-unused", "warning yaml-bool-ambiguous", "warning yaml-bool-ambiguous", "warning yaml-bool-ambiguous"}, 0,
		},
		"unused and off": {
			"severities: {ignore-unused: off, yaml-bool-ambiguous: off}\nignores:\n- {rule: yaml-tab-x, path: a, reason: because}\n",
			[]string{"error policy-rule-unknown"}, 0,
		},
		"firm": {
			"severities: {yaml-syntax: warning, yaml-bool-ambiguous: off}\nignores:\n- {rule: yaml-tab, path: a, reason: because}\n",
			[]string{"error policy-rule-firm", "error policy-rule-firm"}, 0,
		},
	} {
		more := ""
		if test.policy != "" {
			more = "-- archipel.yaml --\n" + test.policy
		}
		report := lint(t, lay(t, norway(more)), Input{})
		var got []string
		for _, f := range report.Findings {
			if f.Rule == "yaml-bool-ambiguous" || f.Position.File == "archipel.yaml" {
				got = append(got, f.Severity.String()+" "+f.Rule)
			}
		}
		if !slices.Equal(got, test.want) || report.Ignored != test.ignored {
			t.Errorf("%s: %q, %d ignored, want %q, %d", name, got, report.Ignored, test.want, test.ignored)
		}
	}
}

// TestIgnoreSite ignores what concerns two sites at one of them.
func TestIgnoreSite(t *testing.T) {
	overlay := factsWith("cluster_id: 2") + "-- archipel.yaml --\nignores:\n- {rule: cluster-id-duplicate, path: kubernetes/**, site: site-a, reason: because}\n"
	report := lint(t, lay(t, txtar.Parse([]byte(overlay))), Input{Only: []string{"cluster-id-duplicate"}})
	if len(report.Findings) != 1 || !slices.Equal(report.Findings[0].Sites, []string{"site-b"}) {
		t.Errorf("%+v", report.Findings)
	}
}

// TestSelection asks for one site, and for one rule.
func TestSelection(t *testing.T) {
	r := lay(t, norway(""))
	f, _ := fleet.Load(r.files)
	places := func(in Input) []string {
		var all []string
		for _, one := range lint(t, r, in).Findings {
			if one.Rule == "yaml-bool-ambiguous" {
				all = append(all, one.Position.File)
			}
		}
		return slices.Compact(all)
	}
	siteB, _ := f.Site("site-b")
	if got, want := places(Input{Sites: []*fleet.Site{siteB}}), []string{whoamiApp + "example.yaml"}; !slices.Equal(got, want) {
		t.Errorf("site-b: %q, want %q", got, want)
	}
	if got := places(Input{Only: []string{"yaml-tab"}}); got != nil {
		t.Errorf("another rule: %q", got)
	}
	_, err := Run(t.Context(), Input{FS: r.files, Fleet: f, Only: []string{"yaml-norway"}})
	if unknown, ok := errors.AsType[*UnknownRuleError](err); !ok || unknown.ID != "yaml-norway" {
		t.Errorf("error %v", err)
	}
}

// TestSkips counts what could not be checked.
func TestSkips(t *testing.T) {
	r := lay(t, &txtar.Archive{})
	delete(r.charts, "cilium-1.20.2")
	r.usual = false
	report := lint(t, r, Input{})
	at := slices.IndexFunc(report.Skipped, func(s Skip) bool { return s.Code == "chart-unavailable" })
	if at < 0 || report.Skipped[at].Count != 2 || report.Skipped[at].Reason == "" {
		t.Errorf("%+v", report.Skipped)
	}
}

// failing renders nothing.
type failing struct{ err error }

func (f failing) Site(context.Context, *fleet.Site) (*render.Result, error) { return nil, f.err }

func TestRenderFails(t *testing.T) {
	r := lay(t, &txtar.Archive{})
	f, _ := fleet.Load(r.files)
	broken := errors.New("the disk is gone")
	_, err := Run(t.Context(), Input{FS: r.files, Fleet: f, Policy: &policy.Policy{}, Renderer: failing{broken}})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "site-") {
		t.Errorf("error %v", err)
	}
}

// TestDeterministic runs twice, with what finds something at all sites.
func TestDeterministic(t *testing.T) {
	overlay := norway("")
	first := lint(t, lay(t, overlay), Input{})
	second := lint(t, lay(t, overlay), Input{})
	if !reflect.DeepEqual(first.Findings, second.Findings) || !reflect.DeepEqual(first.Skipped, second.Skipped) {
		t.Errorf("two runs differ:\n%s\n%s", summary(first), summary(second))
	}
}

// TestRepairs repairs what is safe, and finds nothing to repair afterwards.
func TestRepairs(t *testing.T) {
	const untidy = "\ufeffapiVersion: v1  \r\nkind: ConfigMap\r\nmetadata: {name: a, namespace: whoami}\r\ndata:\r\n  text: |\r\n    kept  \r\n    here\r\n"
	r := lay(t, txtar.Parse([]byte("unended: "+whoamiApp+"one.yaml\n"+
		"-- "+whoamiApp+"one.yaml --\napiVersion: v1 \nkind: ConfigMap\nmetadata:\n  name: b\n  namespace: whoami\n"+
		"-- "+whoamiApp+"two.yaml --\n"+untidy+
		"-- "+whoamiApp+"three.sops.yaml --\nkind: Secret \n")))
	r.files["kubernetes/flux/clusters/site-a/site.yaml"].Data = []byte("stale: true\n")
	delete(r.files, "kubernetes/flux/clusters/site-b/site.yaml")
	done := map[string][]string{}
	for range 5 {
		report := lint(t, r, Input{})
		if len(report.Repairs) == 0 {
			break
		}
		for _, repair := range report.Repairs {
			done[repair.Path] = append(done[repair.Path], repair.Done...)
			r.files[repair.Path] = &fstest.MapFile{Data: repair.Content, Mode: 0o644}
		}
	}
	want := map[string][]string{
		whoamiApp + "one.yaml":                      {"removed spaces at the end of lines", "ended the last line"},
		whoamiApp + "two.yaml":                      {"removed the byte order mark", "ended lines with a line feed alone", "removed spaces at the end of lines"},
		"kubernetes/flux/clusters/site-a/site.yaml": {"derived from the inventories"},
		"kubernetes/flux/clusters/site-b/site.yaml": {"derived from the inventories"},
	}
	if !reflect.DeepEqual(done, want) {
		t.Errorf("got %q\nwant %q", done, want)
	}
	if got := string(r.files[whoamiApp+"two.yaml"].Data); !strings.Contains(got, "    kept  \n") || strings.Contains(got, "v1 ") {
		t.Errorf("%q", got)
	}
	for _, f := range lint(t, r, Input{}).Findings {
		if f.Rule == "site-file-stale" || f.Rule == "mesh-peers-stale" || f.Rule == "yaml-trailing-space" && !strings.Contains(f.Position.File, ".sops.") {
			t.Errorf("left: %+v", f)
		}
	}
}

// TestPinned pins a version as the lock has it.
func TestPinned(t *testing.T) {
	const release = "kubernetes/flux/apps/metallb/app/release.yaml"
	r := lay(t, txtar.Parse([]byte(metallbChart(`">=0.15.0" # not 0.14`)+`-- archipel.lock --
version: 1
entries:
  - repository: https://metallb.github.io/metallb
    name: metallb
    version: '>=0.15.0'
    resolved: 0.16.2
    digest: sha256:`+strings.Repeat("ab", 32)+"\n")))
	report := lint(t, r, Input{})
	at := slices.IndexFunc(report.Repairs, func(r Repair) bool { return r.Path == release })
	if at < 0 || !strings.Contains(string(report.Repairs[at].Content), "      version: 0.16.2 # not 0.14\n") {
		t.Fatalf("%s\n%q", summary(report), report.Repairs)
	}
	if want := []string{"pinned metallb to 0.16.2, as archipel.lock has it"}; !slices.Equal(report.Repairs[at].Done, want) {
		t.Errorf("%q", report.Repairs[at].Done)
	}
}

// TestPositions asks where fields of rendered objects stand.
func TestPositions(t *testing.T) {
	r := lay(t, &txtar.Archive{})
	f, _ := fleet.Load(r.files)
	result, err := render.New(render.Config{FS: r.files, Charts: r.charts}).Site(t.Context(), f.Sites[0])
	if err != nil {
		t.Fatal(err)
	}
	fl := &Fleet{FS: r.files, Fleet: f, shared: &shared{}}
	at := slices.IndexFunc(result.Objects, func(o *render.Object) bool { return o.GetKind() == "IPAddressPool" && o.GetName() == "mesh" })
	pool := result.Objects[at]
	lines := strings.Split(string(r.files["kubernetes/flux/apps/metallb/config/pools.yaml"].Data), "\n")
	for _, test := range []struct {
		key  bool
		path []string
		want string // that stands there
	}{
		{false, []string{"metadata", "name"}, "mesh"},
		{true, []string{"metadata", "name"}, "name"},
		{false, []string{"spec", "addresses", "0"}, "${mesh_api_address}/32"},
		{false, []string{"spec", "serviceAllocation", "namespaces", "0"}, "kube-system"},
		{true, []string{"spec", "addresses", "7"}, "addresses"},
		{false, []string{"spec", "gone", "deeper"}, "addresses"},
	} {
		position := fl.At(pool, test.path...)
		if test.key {
			position = fl.KeyAt(pool, test.path...)
		}
		if got := lines[position.Line-1][position.Column-1:]; !strings.HasPrefix(got, test.want) {
			t.Errorf("%v stands at %+v: %q, want %q", test.path, position, got, test.want)
		}
	}
	if got := fl.At(nil, "a"); got != (finding.Position{}) {
		t.Errorf("no object: %+v", got)
	}
}

// TestCompare tells what most sites have.
func TestCompare(t *testing.T) {
	for _, test := range []struct {
		values      map[string]string
		value, site string
	}{
		{map[string]string{"a": "1", "b": "2", "c": "2"}, "2", "b"},
		{map[string]string{"a": "1", "b": "2"}, "1", "a"},
		{nil, "", ""},
	} {
		if value, site := usual(test.values); value != test.value || site != test.site {
			t.Errorf("%v: %q of %q", test.values, value, site)
		}
	}
	for version, want := range map[string]int{"v1.36.4+k3s1": 36, "1.20.2": 20, "": -1, "v1": -1, "1.x.2": -1} {
		n, _, ok := minor(version)
		if !ok {
			n = -1
		}
		if n != want {
			t.Errorf("%q: %d", version, n)
		}
	}
}
