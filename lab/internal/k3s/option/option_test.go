package option

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func nothing(string) string { return "" }

// file writes a configuration and returns the arguments that name it.
func file(t *testing.T, contents ...string) []string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config.yaml")
	write := func(name, content string) {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(name, contents[0])
	for i, content := range contents[1:] {
		if err := os.MkdirAll(name+".d", 0o700); err != nil {
			t.Fatal(err)
		}
		write(filepath.Join(name+".d", string(rune('a'+i))+".yaml"), content)
	}
	return []string{"--config=" + name}
}

func TestRead(t *testing.T) {
	for name, test := range map[string]struct {
		command Command
		files   []string
		args    []string
		env     map[string]string
		want    map[string][]string
	}{
		"scalars and lists": {
			Server, []string{"token-file: /t\ncluster-init: true\ndisable: [servicelb, traefik]\netcd-snapshot-retention: 7\n"}, nil, nil,
			map[string][]string{
				"token-file": {"/t"}, "cluster-init": {"true"}, "disable": {"servicelb", "traefik"}, "etcd-snapshot-retention": {"7"},
			},
		},
		"a scalar where a list may stand": {Server, []string{"tls-san: api.example.com\n"}, nil, nil, map[string][]string{"tls-san": {"api.example.com"}}},
		"the command line comes first": {
			Server, []string{"node-label: [a=b]\nnode-ip: 192.0.2.1\n"}, []string{"--node-label", "c=d", "--node-label=e=f", "-i", "192.0.2.2"}, nil,
			map[string][]string{"node-label": {"c=d", "e=f"}, "node-ip": {"192.0.2.2"}},
		},
		"later files replace": {
			Server, []string{"token: a\ntls-san: [a]\n", "token: b\ntls-san: [b]\n"}, nil, nil, map[string][]string{"token": {"b"}, "tls-san": {"b"}},
		},
		"later files add with a plus": {Server, []string{"tls-san: [a]\n", "tls-san+: [b]\n", "tls-san+: c\n"}, nil, nil, map[string][]string{"tls-san": {"a", "b", "c"}}},
		"the environment":             {Agent, []string{"server: https://a:6443\n"}, nil, map[string]string{"K3S_URL": "https://b:6443"}, map[string][]string{"server": {"https://b:6443"}}},
		"a switch of the command line": {Server, []string{""}, []string{"--cluster-reset", "--etcd-s3=false"}, nil,
			map[string][]string{"cluster-reset": {"true"}, "etcd-s3": {"false"}}},
		"arguments of programs are not split": {
			Server, []string{"kube-apiserver-arg:\n- enable-admission-plugins=A,B\n- v=2\n"}, nil, nil,
			map[string][]string{"kube-apiserver-arg": {"enable-admission-plugins=A,B", "v=2"}},
		},
		"names of old":                          {Server, []string{"kube-controller-arg: [a=b]\n"}, nil, nil, map[string][]string{"kube-controller-manager-arg": {"a=b"}}},
		"the server's file serves the snapshot": {Snapshot, []string{"cluster-init: true\netcd-snapshot-dir: /s\n"}, []string{"save", "--name", "x"}, nil, map[string][]string{"etcd-snapshot-dir": {"/s"}, "name": {"x"}, "cluster-init": {"true"}}},
		"what is harmless":                      {Server, []string{"docker: false\nlb-server-port: 6444\nsnapshotter: native\n"}, nil, nil, map[string][]string{"snapshotter": {"native"}}},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := Read(test.command, append(file(t, test.files...), test.args...), func(name string) string { return test.env[name] })
			if err != nil {
				t.Fatal(err)
			}
			for option, want := range test.want {
				if got := v.List(option); !slices.Equal(got, want) {
					t.Errorf("%s is %q, not %q", option, got, want)
				}
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		command Command
		config  string
		args    []string
		want    string
	}{
		"an unknown key":                {Server, "disable-flannel: true\n", nil, `unknown key "disable-flannel"`},
		"a key of another command":      {Agent, "cluster-init: true\n", nil, `unknown key "cluster-init"`},
		"a key without a value":         {Server, "token:\n", nil, "no value"},
		"a key twice":                   {Server, "token: a\ntoken: b\n", nil, "already set"},
		"a map":                         {Server, "tls-san: {a: b}\n", nil, "neither a value nor a list"},
		"a list where one value stands": {Server, "token: [a, b]\n", nil, "takes one value"},
		"a list in a list":              {Server, "tls-san: [[a]]\n", nil, "list in a list"},
		"no YAML":                       {Server, "a: b: c\n", nil, "yaml"},
		"not a switch":                  {Server, "cluster-init: perhaps\n", nil, "invalid value"},
		"not a number":                  {Server, "etcd-snapshot-retention: many\n", nil, "invalid value"},
		"an unknown flag":               {Server, "", []string{"--no-such"}, "not defined: -no-such"},
		"a flag of another command":     {Agent, "", []string{"--cluster-init"}, "not defined: -cluster-init"},
		"a flag without a value":        {Server, "", []string{"--token"}, "needs an argument"},
		"what is left over":             {Server, "", []string{"extra"}, `unexpected "extra"`},
		"S3":                            {Server, "etcd-s3: true\n", nil, "does not do etcd-s3"},
		"a bucket":                      {Server, "etcd-s3-bucket: b\n", nil, "does not do etcd-s3-bucket"},
		"another datastore":             {Server, "datastore-endpoint: mysql://\n", nil, "does not do datastore-endpoint"},
		"another port":                  {Server, "https-listen-port: 7443\n", nil, "does not do https-listen-port"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(test.command, append(file(t, test.config), test.args...), nothing)
			if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, not %q", err, test.want)
			}
		})
	}
	if _, err := Read(Server, []string{"--config=/no/such/file"}, nothing); err == nil {
		t.Error("a missing file that was named is no error")
	}
}

func TestDefaults(t *testing.T) {
	v, err := Read(Server, file(t, ""), nothing)
	if err != nil {
		t.Fatal(err)
	}
	if v.Text("cluster-cidr") != "10.42.0.0/16" || v.Number("etcd-snapshot-retention") != 5 || v.Switch("cluster-init") || v.Given("cluster-cidr") {
		t.Errorf("got %+v", v)
	}
	if got := v.Split("disable"); got != nil {
		t.Errorf("disable is %q", got)
	}
}

// TestTable finds rows that hide each other.
func TestTable(t *testing.T) {
	for _, command := range []Command{Server, Agent, Snapshot} {
		seen := map[string]bool{}
		for _, o := range Table() {
			if o.Commands&command == 0 {
				continue
			}
			for _, name := range append([]string{o.Name, "-" + o.Short}, o.Aliases...) {
				if seen[name] && name != "-" {
					t.Errorf("%s stands twice in the table", name)
				}
				seen[name] = true
			}
		}
	}
}

// FuzzConfig looks for files that break the reader, or that mean another thing
// when the same file is read again.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{"token: a\n", "tls-san: [a, b]\n", "tls-san+: a\n", "etcd-snapshot-retention: 0x10\n", "a: &a [*a]\n", "disable: ~\n", "- a\n", "node-label: [1, true, 1.5]\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		first, second := map[string][]string{}, map[string][]string{}
		p := newParser(Server)
		err := p.config(first, data)
		again := p.config(second, data)
		if (err == nil) != (again == nil) || err == nil && !reflect.DeepEqual(first, second) {
			t.Fatalf("%q gave %v, %v and then %v, %v", data, first, err, second, again)
		}
		for name := range first {
			if o, ok := p.byName[name]; !ok || o.Commands&Server == 0 {
				t.Fatalf("%q set the unknown option %s", data, name)
			}
		}
	})
}
