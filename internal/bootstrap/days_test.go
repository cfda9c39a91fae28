package bootstrap

import (
	"strings"
	"testing"

	"archipel/internal/status"
)

func TestQuorum(t *testing.T) {
	for _, test := range []struct {
		members, healthy int
		lost             bool
		want             string
	}{
		{1, 1, false, "last server"},
		{2, 2, false, ""},
		{2, 1, true, "no quorum"},
		{3, 3, false, ""},
		{3, 2, true, ""},
		{3, 2, false, "only 1 would answer, and etcd needs 2"},
		{3, 1, true, "no quorum"},
		{5, 3, false, "only 2 would answer, and etcd needs 3"},
		{5, 3, true, ""},
		{5, 4, false, ""},
	} {
		got := Quorum(test.members, test.healthy, test.lost)
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%+v: got %q", test, got)
		}
	}
}

func TestCheckUpgrade(t *testing.T) {
	nodes := func(server, agent string) []status.Node {
		return []status.Node{{Name: "s1", Role: "server", Version: server}, {Name: "s2", Role: "server", Version: server}, {Name: "a1", Role: "agent", Version: agent}}
	}
	for name, test := range map[string]struct {
		nodes []status.Node
		to    string
		limit []string
		want  string
	}{
		"patch":         {nodes("v1.36.4+k3s1", "v1.36.4+k3s1"), "v1.36.4+k3s2", nil, ""},
		"same":          {nodes("v1.36.4+k3s1", "v1.36.4+k3s1"), "v1.36.4+k3s1", nil, ""},
		"minor":         {nodes("v1.35.9+k3s1", "v1.35.9+k3s1"), "v1.36.4+k3s1", nil, ""},
		"resumed":       {nodes("v1.36.4+k3s1", "v1.35.9+k3s1"), "v1.36.4+k3s1", nil, ""},
		"minor skipped": {nodes("v1.34.9+k3s1", "v1.34.9+k3s1"), "v1.36.4+k3s1", nil, "s1 runs v1.34.9+k3s1: upgrade to each minor"},
		"agent behind":  {nodes("v1.36.4+k3s1", "v1.34.9+k3s1"), "v1.36.4+k3s1", nil, "a1 runs v1.34.9+k3s1: upgrade to each minor"},
		"major":         {nodes("v1.36.4+k3s1", "v1.36.4+k3s1"), "v2.0.0+k3s1", nil, "each minor"},
		"back":          {nodes("v1.36.4+k3s2", "v1.36.4+k3s2"), "v1.36.4+k3s1", nil, "newer than v1.36.4+k3s1: k3s does not go back"},
		"agent first":   {nodes("v1.35.9+k3s1", "v1.35.9+k3s1"), "v1.36.4+k3s1", []string{"a1"}, "a1 would be newer than a server"},
		"one server":    {nodes("v1.35.9+k3s1", "v1.35.9+k3s1"), "v1.36.4+k3s1", []string{"s1"}, ""},
		"agent last":    {nodes("v1.36.4+k3s1", "v1.35.9+k3s1"), "v1.36.4+k3s1", []string{"a1"}, ""},
		"no k3s":        {nodes("v1.36.4-eks", "v1.36.4+k3s1"), "v1.36.4+k3s1", nil, "no version of k3s"},
		"no version":    {nodes("v1.36.4+k3s1", "v1.36.4+k3s1"), "latest", nil, "no version of k3s"},
	} {
		got := strings.Join(CheckUpgrade(test.nodes, test.to, test.limit), "; ")
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestSnapshotName(t *testing.T) {
	for name, want := range map[string]bool{"archipel-site-a-server-1-1790000000": true, "a.zip": true, "": false, "-x": false, "../x": false, "a b": false, "a/b": false} {
		if SnapshotName(name) != want {
			t.Errorf("%q is not %v", name, want)
		}
	}
}

func TestWaitsFor(t *testing.T) {
	ready := status.Site{Name: "site-a", State: status.Ready, Reachable: true, Kustomizations: []status.Object{{}}}
	check(t, "ready", waitsFor(ready), "")
	ready.Kustomizations = nil
	check(t, "nothing", waitsFor(ready), "Flux to apply its first Kustomization")
	check(t, "unreachable", waitsFor(status.Site{State: status.Unreachable}) == "", false)
}
