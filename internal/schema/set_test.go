package schema

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestMinors decodes every type of every minor, which a run does only where it needs one.
func TestMinors(t *testing.T) {
	if want := []string{"1.34", "1.35", "1.36", "1.37"}; !slices.Equal(Minors(), want) {
		t.Errorf("got %v, want %v", Minors(), want)
	}
	store := New()
	for _, minor := range Minors() {
		b := store.builtin(minor)
		if len(b.kinds) < 80 || len(b.types) < 500 {
			t.Errorf("%s: %d kinds and %d types", minor, len(b.kinds), len(b.types))
		}
		for name, l := range b.types {
			n := l.get()
			if n.ref == nil && n.types == 0 && n.format == "" && !n.open {
				t.Errorf("%s: %s is empty", minor, name)
			}
			for _, required := range n.required {
				if n.fields[required] == nil {
					t.Errorf("%s: %s requires %s, which it does not have", minor, name, required)
				}
			}
		}
		// A name of enforced.go that no type has would silently do nothing.
		for _, name := range []string{objectMeta, "apimachinery.pkg.apis.meta.v1.LabelSelector", "api.core.v1.ContainerPort"} {
			if b.types[name] == nil {
				t.Errorf("%s: no type %s", minor, name)
			}
		}
	}
}

func TestSchemaVersionMissing(t *testing.T) {
	for _, c := range []struct{ version, minor, problem string }{
		{"1.36", "1.36", ""},
		{"v1.36.4+k3s1", "1.36", ""},
		{"v1.34.0-rc.1", "1.34", ""},
		{"v1.33.9+k3s1", "1.34", "the schemas of Kubernetes 1.33 are not known here: those of 1.34 are used"},
		{"1.40", "1.37", "the schemas of Kubernetes 1.40 are not known here: those of 1.37 are used"},
		{"", "1.37", `"" is no version of Kubernetes: the schemas of 1.37 are used`},
		{"stable", "1.37", `"stable" is no version of Kubernetes: the schemas of 1.37 are used`},
	} {
		set, problems := New().Set(c.version, nil)
		message := ""
		if len(problems) == 1 && problems[0].Kind == SchemaVersionMissing {
			message = problems[0].Message
		}
		if set.Minor() != c.minor || message != c.problem || len(problems) > 1 {
			t.Errorf("%s: got %s and %v", c.version, set.Minor(), problems)
		}
	}
}

func TestScope(t *testing.T) {
	set, _ := New().Set("1.36", definitions(t))
	for _, c := range []struct {
		group, kind string
		want        Scope
	}{
		{"", "Pod", Namespaced},
		{"", "Namespace", Cluster},
		{"apps", "Deployment", Namespaced},
		{"rbac.authorization.k8s.io", "ClusterRole", Cluster},
		{"apiextensions.k8s.io", "CustomResourceDefinition", Cluster},
		{"example.com", "Widget", Namespaced},
		{"example.com", "Region", Cluster},
		{"example.com", "Nothing", Unknown},
		{"apps", "Pod", Unknown},
	} {
		if got := set.Scope(c.group, c.kind); got != c.want {
			t.Errorf("%s/%s: got %d, want %d", c.group, c.kind, got, c.want)
		}
	}
	for _, c := range []struct {
		apiVersion, kind string
		want             bool
	}{
		{"apps/v1", "Deployment", true},
		{"apps/v1beta1", "Deployment", false},
		{"resource.k8s.io/v1beta1", "ResourceClaim", false}, // there, but off
		{"example.com/v1", "Widget", true},
		{"example.com/v1alpha1", "Widget", false},
	} {
		known := set.KnownKind(c.apiVersion, c.kind)
		if known != c.want || known != slices.Contains(set.Kinds(), c.apiVersion+"/"+c.kind) {
			t.Errorf("%s %s: got %t", c.apiVersion, c.kind, known)
		}
	}
}

// TestWords holds the sentences that people read.
func TestWords(t *testing.T) {
	set, _ := New().Set("1.36", definitions(t))
	wanted := map[string]string{
		"misspelt field in a list":   "there is no field spec.template.spec.containers[0].imag (write image)",
		"misspelt field":             "there is no field spec.replica (write replicas)",
		"text for a number":          "spec.replicas is a string, must be an integer (write it without quotes)",
		"number in a ConfigMap":      "data.port is an integer, must be a string (write it in quotes)",
		"no containers":              "spec lacks the required field containers",
		"no name":                    "metadata lacks the required field name",
		"lower case protocol":        `spec.ports[0].protocol is "tcp", must be one of SCTP, TCP, UDP (write TCP)`,
		"no quantity":                `spec.template.spec.containers[0].resources.requests.cpu is "100 m", must be a quantity, for example 100m or 1Gi`,
		"no base64":                  "data.password must be base64",
		"port too high":              "spec.template.spec.containers[0].ports[0].containerPort is 70000, must be a port from 1 to 65535",
		"variable twice":             "spec.template.spec.containers[0].env[1] has the same name as entry 0",
		"removed group":              "Kubernetes 1.36 has no Ingress of extensions/v1beta1 any more (use networking.k8s.io/v1)",
		"removed version":            "Kubernetes 1.36 has no PodDisruptionBudget of policy/v1beta1 any more (use policy/v1)",
		"version that never was":     "there is no Deployment of apps/v2 (use apps/v1)",
		"kind of another group":      "there is no Service of apps/v1 (use v1)",
		"misspelt kind":              `there is no kind "Deploymnet" of "apps/v1" (write Deployment)`,
		"misspelt group":             `there is no kind "Deployment" of "app/v1" (use apps/v1)`,
		"kind without a definition":  `no definition of kind "Thing" of "nothing.example/v1" is known here`,
		"removed kind":               "Kubernetes 1.36 has no PodSecurityPolicy of policy/v1beta1 any more (use the labels pod-security.kubernetes.io/enforce of the namespace)",
		"too large":                  "spec.size is 101, must be at most 100",
		"against the pattern":        `spec.name is "a1", must match ^[a-z]+$`,
		"none of two":                "spec.source fits none of the allowed forms: spec.source lacks the required field git; or spec.source lacks the required field oci",
		"forbidden pair":             "spec.one has a form that is forbidden: with a and b",
		"rule of a field":            "spec.size: a fixed widget must be larger than 1",
		"version that is not served": "the definition of Widget does not serve version v1alpha1 (use example.com/v1)",
	}
	for _, file := range []string{"builtin.yaml", "custom.yaml"} {
		for _, s := range corpus(t, file) {
			want, ok := wanted[s.Name]
			if !ok {
				continue
			}
			delete(wanted, s.Name)
			problems := set.Validate(s.object)
			if len(problems) != 1 {
				t.Errorf("%s: %v", s.Name, problems)
				continue
			}
			got := problems[0].Message
			if problems[0].Fix != "" {
				got += " (" + problems[0].Fix + ")"
			}
			if got != want {
				t.Errorf("%s: got\n  %s\nwant\n  %s", s.Name, got, want)
			}
		}
	}
	for name := range wanted {
		t.Errorf("no sample %s", name)
	}
}

func TestDisabledAndOtherMinors(t *testing.T) {
	store := New()
	for _, c := range []struct{ minor, apiVersion, kind, want string }{
		{"1.36", "resource.k8s.io/v1beta1", "DeviceClass", "disabled-api /apiVersion"},
		{"1.34", "nothing.k8s.io/v1", "Thing", "definition-missing /kind"},
		{"1.34", "v2", "Pod", "unknown-kind /apiVersion"},
		{"1.34", "nothing/v1", "Thing", "unknown-kind /apiVersion"},
	} {
		set, _ := store.Set(c.minor, nil)
		got := pointers(set.Validate(map[string]any{"apiVersion": c.apiVersion, "kind": c.kind, "metadata": map[string]any{"name": "a"}, "spec": map[string]any{}}))
		if !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s %s: got %v, want %s", c.apiVersion, c.kind, got, c.want)
		}
	}
}

// TestSecret shows no value of a Secret, whatever is wrong with it.
func TestSecret(t *testing.T) {
	const canary = "hunter2"
	set, _ := New().Set("1.36", nil)
	for _, object := range []map[string]any{
		{"metadata": map[string]any{"name": "a"}, "data": map[string]any{"a": canary}},
		{"metadata": map[string]any{"name": "a"}, "data": map[string]any{"a": []any{canary}}},
		{"metadata": map[string]any{"name": canary + "_"}, "stringData": map[string]any{"a": 1}},
		{"metadata": map[string]any{"name": "a", "labels": map[string]any{"a": canary + " "}}},
	} {
		object["apiVersion"], object["kind"] = "v1", "Secret"
		problems := set.Validate(object)
		if len(problems) == 0 {
			t.Errorf("nothing is wrong with %v", object)
		}
		for _, p := range problems {
			if strings.Contains(p.Message+p.Fix, canary) {
				t.Errorf("shows the value: %s", p.Message)
			}
		}
	}
}

func TestEncrypted(t *testing.T) {
	set, _ := New().Set("1.36", nil)
	const opaque = "ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]"
	problems := set.Validate(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "a", "labels": map[string]any{"a": opaque}},
		"data": map[string]any{"a": opaque}, "immutable": opaque,
	})
	if len(problems) > 0 {
		t.Errorf("nobody knows what is encrypted: %v", problems)
	}
}

func TestEqualInputsGiveOneSet(t *testing.T) {
	store, all := New(), definitions(t)
	first, _ := store.Set("1.36", all)
	for _, c := range []struct {
		name        string
		definitions []map[string]any
		same        bool
	}{
		{"the same maps", all, true},
		{"equal maps", definitions(t), true},
		{"another order", []map[string]any{all[1], all[0]}, true},
		{"with other objects", append([]map[string]any{{"kind": "Pod"}}, all...), true},
		{"less", all[:1], false},
	} {
		if again, _ := store.Set("v1.36.4+k3s1", c.definitions); (again == first) != c.same {
			t.Errorf("%s: the same set is %t", c.name, again == first)
		}
	}
	if other, _ := store.Set("1.35", all); other == first {
		t.Error("two minors have one set")
	}
}

func TestInvalidDefinitions(t *testing.T) {
	for _, c := range []struct {
		spec any
		want string
	}{
		{nil, "the definition lacks spec.group or spec.names.kind"},
		{map[string]any{"group": "a.b", "names": map[string]any{"kind": "C"}}, "the definition of C has no version"},
		{map[string]any{"group": "a.b", "names": map[string]any{"kind": "C"}, "versions": []any{map[string]any{"name": "v1", "served": true}}}, "version v1 of C has no schema"},
	} {
		set, problems := New().Set("1.36", []map[string]any{{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": c.spec}})
		if len(problems) != 1 || problems[0].Kind != DefinitionInvalid || problems[0].Message != c.want {
			t.Errorf("got %v, want %s", problems, c.want)
		}
		set.Validate(map[string]any{"apiVersion": "a.b/v1", "kind": "C", "metadata": map[string]any{"name": "a"}})
	}
}

// TestConcurrent is for the race detector.
func TestConcurrent(t *testing.T) {
	store, samples := New(), append(corpus(t, "builtin.yaml"), corpus(t, "custom.yaml")...)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			set, _ := store.Set("1.36", definitions(t))
			for _, s := range samples {
				if got := pointers(set.Validate(s.object)); !slices.Equal(got, s.Want) {
					t.Errorf("%s: got %v", s.Name, got)
				}
				store.Values([]byte(exampleSchema), s.object)
			}
		})
	}
	group.Wait()
}
