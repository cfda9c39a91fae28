package diff

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"archipel/internal/fleet"
	"archipel/internal/source"

	"golang.org/x/tools/txtar"
)

// base is the fleet of the fleet package's own tests, changed by replacements old, new, old, new.
func base(t *testing.T, replace ...string) (fs.FS, *fleet.Fleet) {
	t.Helper()
	archive, err := txtar.ParseFile("../fleet/testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, f := range archive.Files {
		files["kubernetes/ansible/"+f.Name] = &fstest.MapFile{Data: []byte(strings.NewReplacer(replace...).Replace(string(f.Data)))}
	}
	f, _ := fleet.Load(files)
	return files, f
}

func TestInventory(t *testing.T) {
	_, before := base(t)
	site := func(f *fleet.Fleet) *fleet.Site {
		s, _ := f.Site("site-a")
		return s
	}
	for _, test := range []struct {
		replace []string
		subject string
		want    string // the lines, joined
		danger  string
	}{
		{[]string{"cluster_id: 1", "cluster_id: 3"}, "fact cluster_id", "cluster_id: 1 → 3", "identity in the mesh"},
		{[]string{"pod_cidr: 10.64.0.0/16", "pod_cidr: 10.70.0.0/16"}, "fact pod_cidr", "pod_cidr: 10.64.0.0/16 → 10.70.0.0/16", "old addresses"},
		{[]string{"k3s_version: v1.36.4+k3s1", "k3s_version: v1.36.4+k3s2"}, "fact k3s_version", "k3s_version: v1.36.4+k3s1 → v1.36.4+k3s2", ""},
		{[]string{"k3s_version: v1.36.4+k3s1", "k3s_version: v1.35.9+k3s1"}, "fact k3s_version", "k3s_version: v1.36.4+k3s1 → v1.35.9+k3s1", "older version"},
		{[]string{"cilium_version: 1.20.2", "cilium_version: 1.20.3"}, "fact cilium_version", "cilium_version: 1.20.2 → 1.20.3", "network layer"},
		{[]string{"site-a-agent-2:", "site-a-agent-9:"}, "node site-a-agent-9", "+ role: agent\n+ address: 198.51.100.22", ""},
		{[]string{"site-a-agent-2:", "site-a-agent-9:"}, "node site-a-agent-2", "- role: agent\n- address: 198.51.100.22", ""},
		{[]string{"site-a-server-1:", "site-a-server-9:"}, "node site-a-server-1", "- role: server\n- address: 198.51.100.11", "a server leaves"},
		{[]string{"198.51.100.21", "198.51.100.29"}, "node site-a-agent-1", "address: 198.51.100.21 → 198.51.100.29\nansible_host: 198.51.100.21 → 198.51.100.29", "join anew"},
	} {
		_, after := base(t, test.replace...)
		c := find(t, CompareSites(site(before), site(after)), test.subject)
		dangers := strings.Join(c.Dangers, "; ")
		if got := strings.Join(lines(c.Fields), "\n"); got != test.want || (dangers == "") != (test.danger == "") || !strings.Contains(dangers, test.danger) {
			t.Errorf("%v: %q, %q", test.replace, got, dangers)
		}
	}
	if changes := CompareSites(site(before), site(before)); len(changes) > 0 {
		t.Errorf("a site differs from itself: %+v", changes)
	}
	if c := CompareSites(nil, site(before)); len(c) != 1 || c[0].Action != Created || len(c[0].Fields) != 8 {
		t.Errorf("a new site: %+v", c)
	}
	if c := CompareSites(site(before), nil); len(c) != 1 || c[0].Action != Deleted || len(c[0].Dangers) != 1 {
		t.Errorf("a site that is gone: %+v", c)
	}
}

func archive(text string) fstest.MapFS {
	files := fstest.MapFS{}
	for _, f := range txtar.Parse([]byte(text)).Files {
		files["kubernetes/"+f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return files
}

func TestTerraformAndAnsible(t *testing.T) {
	before := archive(`
-- terraform/envs/site-a/main.tf --
module "network" {
  source = "../../modules/network"
  size   = 2 # nodes
}
-- terraform/envs/site-b/main.tf --
locals { a = 1 }
-- terraform/modules/network/main.tf --
resource "null_resource" "gone" {}
resource "null_resource" "kept" {
  lifecycle { prevent_destroy = true }
}
variable "db_password" { default = "CANARY-4711" }
terraform {
  backend "local" { path = "a" }
}
-- terraform/modules/network/.terraform/x.tf --
locals { a = 1 }
-- ansible/roles/k3s/tasks/main.yml --
a: 1
-- ansible/playbooks/site.yml --
a: 1
-- ansible/inventories/site-z/hosts.yml --
a: 1
`)
	after := archive(`
-- terraform/envs/site-a/main.tf --
module "network" {
  size = 3
  source   = "../../modules/network"
}
-- terraform/envs/site-b/main.tf --
# only the form
locals {
  a = 1
}
-- terraform/modules/network/other.tf --
resource "null_resource" "kept" {
  lifecycle { prevent_destroy = false }
}
resource "null_resource" "new" { count = 2 }
variable "db_password" { default = "CANARY-4711-2" }
-- terraform/modules/network/main.tf --
terraform {
  backend "local" { path = "b" }
}
-- terraform/modules/network/.terraform/x.tf --
locals { a = 2 }
-- ansible/roles/k3s/tasks/main.yml --
a: 2
-- ansible/roles/k3s/defaults/main.yml --
a: 2
-- ansible/inventories/site-z/hosts.yml --
a: 2
`)
	files, err := source.Changes(before, after, "kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	sites := []string{"site-a", "site-b"}
	c := NewCollector()
	c.Add(CompareTerraform(before, after, files, sites))
	c.Add(CompareAnsible(before, after, files, sites))
	r := c.Report("a", "b", sites, len(files))
	for name, out := range outputs(t, r) {
		if strings.Contains(out, canary) {
			t.Errorf("%s shows a secret:\n%s", name, out)
		}
	}
	golden(t, "layers.golden", outputs(t, r)["text"])
}

func TestTerraformBroken(t *testing.T) {
	before := archive("-- terraform/envs/site-a/main.tf --\nresource \"a\" \"b\" {}\n")
	after := archive("-- terraform/envs/site-a/main.tf --\nresource \"a\" {{{\n")
	changes := CompareTerraform(before, after, []string{"kubernetes/terraform/envs/site-a/main.tf"}, []string{"site-a"})
	if len(changes) != 1 || slices.ContainsFunc(changes, func(c Change) bool { return c.Action == Deleted }) {
		t.Errorf("%+v", changes)
	}
}

func TestOlder(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"1.2.3", "1.2.4", true}, {"1.2.4", "1.2.3", false}, {"1.2.3", "1.2.3", false},
		{"v1.36.4+k3s1", "v1.36.4+k3s2", true}, {"v1.36.4+k3s10", "v1.36.4+k3s2", false}, {"x", "1.0.0", false},
	} {
		if got := older(test.a, test.b); got != test.want {
			t.Errorf("older(%q, %q) = %v", test.a, test.b, got)
		}
	}
}
