package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tfScene is a copy of the repository's inventories and Terraform tree, and a tool that only
// says its version and notes what else it is asked.
type tfScene struct{ root, bin string }

func newTFScene(t *testing.T, version string) tfScene {
	t.Helper()
	s := tfScene{root: t.TempDir(), bin: t.TempDir()}
	for _, folder := range []string{"kubernetes/ansible/inventories", "kubernetes/terraform"} {
		if err := os.CopyFS(filepath.Join(s.root, folder), os.DirFS(filepath.Join("../..", folder))); err != nil {
			t.Fatal(err)
		}
	}
	if version != "" {
		script := "#!/bin/sh\nif [ \"$1\" = version ]; then echo '{\"terraform_version\": \"" + version + "\"}'; else echo \"$@\" >>\"$0.calls\"; exit 1; fi\n"
		if err := os.WriteFile(filepath.Join(s.bin, "terraform"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home := t.TempDir()
	for name, value := range map[string]string{
		"PATH": s.bin, "HOME": home, "XDG_CACHE_HOME": "", "XDG_STATE_HOME": "", "TF_CLI_CONFIG_FILE": "", "ARCHIPEL_BACKEND": "", "AWS_PROFILE": "",
		"AWS_ACCESS_KEY_ID": "archipel", "AWS_SECRET_ACCESS_KEY": "archipel", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	s.edit(t, "kubernetes/terraform/backend.hcl", "https://s3.archipel.example", "http://127.0.0.1:1")
	s.edit(t, "kubernetes/terraform/backend.hcl", "https://dynamodb.archipel.example", "http://127.0.0.1:1")
	return s
}

func (s tfScene) edit(t *testing.T, file, from, to string) {
	t.Helper()
	file = filepath.Join(s.root, file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(from)) {
		t.Fatalf("%s does not hold %q", file, from)
	}
	if err := os.WriteFile(file, bytes.Replace(data, []byte(from), []byte(to), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s tfScene) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), append([]string{"-C", s.root}, args...), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

const (
	hostsOfA = "kubernetes/ansible/inventories/site-a/hosts.yml"
	factsOfA = "kubernetes/ansible/inventories/site-a/group_vars/all/main.yml"
)

// TestInfrastructureRefuses gives each thing that is wrong one clear message with a way out,
// before the tool is asked for anything but its version.
func TestInfrastructureRefuses(t *testing.T) {
	edit := func(file, from, to string) func(*testing.T, tfScene) {
		return func(t *testing.T, s tfScene) { t.Helper(); s.edit(t, file, from, to) }
	}
	remove := func(name string) func(*testing.T, tfScene) {
		return func(t *testing.T, s tfScene) {
			t.Helper()
			if err := os.RemoveAll(filepath.Join(s.root, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	setenv := func(name, value string) func(*testing.T, tfScene) {
		return func(t *testing.T, _ tfScene) { t.Helper(); t.Setenv(name, value) }
	}
	tests := map[string]struct {
		wrong func(*testing.T, tfScene)
		args  string
		code  int
		want  []string
	}{
		"a node without an address": {edit(hostsOfA, "          ansible_host: 198.51.100.21\n", ""), "plan", 2, []string{hostsOfA + ":10:9: error:", "has no address", "fix: add ansible_host:"}},
		"the same address twice":    {edit(hostsOfA, "198.51.100.22", "198.51.100.21"), "plan", 2, []string{hostsOfA + ":13:25: error:", "node-address-duplicate"}},
		"a network too small":       {edit(factsOfA, "node_cidr: 198.51.100.0/24", "node_cidr: 198.51.100.0/29"), "plan site-a", 2, []string{factsOfA + ":3:12: error:", "node-cidr-wrong", "fix:"}},
		"an unknown hypervisor":     {edit(hostsOfA, "198.51.100.22", "198.51.100.22\n          hypervisor: kmv-1"), "plan", 2, []string{hostsOfA + ":14:23: error: the site has no hypervisor kmv-1", "fix: write kvm-1"}},
		"no environment":            {remove("kubernetes/terraform/envs/site-b"), "plan", 2, []string{"the site site-b has no environment kubernetes/terraform/envs/site-b", "hint:"}},
		"an unknown site":           {setenv("X", ""), "apply site-x", 2, []string{"unknown site \"site-x\""}},
		"no tool":                   {setenv("X", ""), "plan --tool tofu", 2, []string{"tofu is not installed", "hint: make tools"}},
		"no backend":                {remove("kubernetes/terraform/backend.hcl"), "plan", 2, []string{"there is no ", "backend.hcl", "hint:"}},
		"a backend without a lock":  {edit("kubernetes/terraform/backend.hcl", "dynamodb_table", "# dynamodb_table"), "plan", 2, []string{"backend.hcl:1:1: error: neither dynamodb_table nor use_lockfile"}},
		"credentials in a file":     {edit("kubernetes/terraform/backend.hcl", "encrypt = true", "access_key = \"a\""), "plan", 2, []string{"access_key stands in a file"}},
		"no credentials":            {setenv("AWS_ACCESS_KEY_ID", ""), "plan", 2, []string{"there are none", "hint: set AWS_ACCESS_KEY_ID"}},
		"the store is down":         {setenv("X", ""), "plan", 3, []string{"asking for the bucket archipel-terraform: dial tcp 127.0.0.1:1: connect: connection refused", "hint: check the network"}},
		"down, for the doctor":      {setenv("X", ""), "state doctor", 3, []string{"connection refused"}},
		"down, for the migration":   {setenv("X", ""), "state migrate-lock --yes", 3, []string{"connection refused"}},
		"freeing no site":           {setenv("X", ""), "state doctor --free", 2, []string{"--free needs a site"}},
		"an unknown format":         {setenv("X", ""), "plan -o yaml", 2, []string{"use text, json or markdown"}},
		"two sites to apply":        {setenv("X", ""), "apply site-a site-b", 2, []string{"accepts 1 arg"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newTFScene(t, "1.12.6")
			test.wrong(t, s)
			code, stdout, stderr := s.run(t, strings.Fields(test.args)...)
			if code != test.code || stdout != "" {
				t.Errorf("exit code %d, want %d; stdout %q", code, test.code, stdout)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr lacks %q:\n%s", want, stderr)
				}
			}
			if calls, err := os.ReadFile(filepath.Join(s.bin, "terraform.calls")); err == nil {
				t.Errorf("the tool was run: %s", calls)
			}
		})
	}
	t.Run("a tool too old", func(t *testing.T) {
		code, _, stderr := newTFScene(t, "1.5.7").run(t, "plan")
		if code != 2 || !strings.Contains(stderr, "is Terraform 1.5.7, and the oldest that is used is 1.10") {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	})
}
