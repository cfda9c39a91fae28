package check

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"archipel/internal/finding"
)

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]string{
		"198.51.100.0/30":             "198.51.100.0-198.51.100.3",
		"198.51.100.2/30":             "198.51.100.0-198.51.100.3", // as net.ParseCIDR reads it
		"198.51.100.7/32":             "198.51.100.7",
		"0.0.0.0/0":                   "0.0.0.0-255.255.255.255",
		"198.51.100.1 - 198.51.100.9": "198.51.100.1-198.51.100.9",
		"2001:db8::/126":              "2001:db8::-2001:db8::3",
		"2001:db8::1-2001:db8::f":     "2001:db8::1-2001:db8::f",
		"198.51.100.9-198.51.100.1":   "",
		"198.51.100.1-2001:db8::1":    "",
		"198.51.100.1":                "",
		"198.51.100.0/33":             "",
		"198.51.100.1-":               "",
		"-":                           "",
		"":                            "",
	} {
		first, last, err := parseSpan(text)
		got := span{first: first, last: last}.String()
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%q is %q (%v), want %q", text, got, err, want)
		}
	}
}

func FuzzParseSpan(f *testing.F) {
	for _, text := range []string{"198.51.100.0/30", "198.51.100.1-198.51.100.9", "2001:db8::/64", "::-::1", "1.1.1.1-1.1.1.1-2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, last, err := parseSpan(text)
		if err == nil && (!first.IsValid() || first.BitLen() != last.BitLen() || first.Compare(last) > 0) {
			t.Errorf("%q is %s to %s", text, first, last)
		}
	})
}

func TestLongestNetwork(t *testing.T) {
	for text, want := range map[string]int64{
		"198.51.100.0/24":               24,
		"198.51.100.1-198.51.100.1":     32,
		"198.51.100.1-198.51.100.2":     32, // two single addresses
		"198.51.100.1-198.51.100.10":    30, // .4 to .7
		"198.51.100.0-198.51.100.255":   24,
		"198.51.100.201-198.51.100.239": 28, // .208 to .223
		"0.0.0.0-255.255.255.255":       0,
		"2001:db8::1-2001:db8::ff":      121,
	} {
		first, last, err := parseSpan(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := longestNetwork(span{first: first, last: last}); got != want {
			t.Errorf("the largest network in %s is a /%d, want /%d", text, got, want)
		}
		if !(span{first: first, last: last}).contains(netip.MustParseAddr(strings.Split(strings.Split(text, "-")[0], "/")[0])) {
			t.Errorf("%s does not hold its first address", text)
		}
	}
}

func TestExactVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"1.20.2": true, "v1.20.2": true, "1.20.2-rc.1": true, "1.20.2+build.5": true,
		"1.20": false, "1": false, "*": false, "": false, ">=1.0.0": false, "~1.2.3": false, "1.2.x": false, "^1.2.3": false, "1.0.0 - 2.0.0": false, "latest": false,
	} {
		if got := exactVersion(version); got != want {
			t.Errorf("exactVersion(%q) is %t", version, got)
		}
	}
}

func TestBounded(t *testing.T) {
	for constraint, want := range map[string]bool{
		"~> 6.2": true, "6.2.0": true, "= 6.2.0": true, ">= 5.0, < 7.0": true, "<= 6": true,
		">= 5.0": false, "> 5": false, "": false, "!= 5.1.0": false, ">= 5.0, != 5.1.0": false,
	} {
		if got := bounded(constraint); got != want {
			t.Errorf("bounded(%q) is %t", constraint, got)
		}
	}
}

func TestLintFindings(t *testing.T) {
	const out = `[
  {"type":"issue","check_name":"name[missing]","description":"All tasks should be named.","severity":"minor",
   "location":{"path":"kubernetes/ansible/playbooks/site.yml","lines":{"begin":7}}},
  {"check_name":"syntax-check","description":"Broken\nmore","severity":"blocker",
   "location":{"path":"kubernetes/ansible/playbooks/site.yml","positions":{"begin":{"line":3,"column":5}}}},
  {"check_name":"old","description":"Old form","severity":"info","location":{"path":"a.yml","lines":{"begin":{"line":2,"column":4}}}},
  {"check_name":"out","description":"Outside","location":{"path":"../../etc/passwd","lines":{"begin":1}}},
  {"check_name":"abs","description":"Outside","location":{"path":"/etc/passwd","lines":{"begin":1}}}
]`
	got, err := lintFindings([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	want := []finding.Finding{
		{Position: finding.Position{File: "kubernetes/ansible/playbooks/site.yml", Line: 7}, Message: "name[missing]: All tasks should be named"},
		{Position: finding.Position{File: "kubernetes/ansible/playbooks/site.yml", Line: 3, Column: 5}, Message: "syntax-check: Broken", Severity: finding.Error},
		{Position: finding.Position{File: "a.yml", Line: 2, Column: 4}, Message: "old: Old form"},
	}
	if len(got) != len(want) {
		t.Fatalf("%d findings: %+v", len(got), got)
	}
	for i := range want {
		if got[i].Position != want[i].Position || got[i].Message != want[i].Message || got[i].Severity != want[i].Severity {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
	for _, out := range []string{"", "WARNING: nothing", `{"a":1}`, "[1]"} {
		if _, err := lintFindings([]byte(out)); err == nil {
			t.Errorf("%q is read as findings", out)
		}
	}
}

// TestAnsibleLint has what another program found, and that it may be missing.
func TestAnsibleLint(t *testing.T) {
	tree := lay(t, txtar.Parse([]byte(ansibleExample("roles:\n  - role: greet\n    vars:\n      greet_name: you\n"))))
	const issue = `[{"check_name":"name[casing]","description":"Names begin with a capital.","location":{"path":"kubernetes/ansible/playbooks/site.yml","lines":{"begin":2}}}]`
	for name, test := range map[string]struct {
		out  string
		err  error
		want string
	}{
		"findings":       {issue, errors.New("exit status 2"), "kubernetes/ansible/playbooks/site.yml:2:0: warning: name[casing]: Names begin with a capital [ansible-lint]\n"},
		"no findings":    {"[]", nil, ""},
		"not installed":  {"", ErrNoProgram, "skipped: ansible-lint-missing\n"},
		"broken":         {"", errors.New("exit status 1"), "skipped: ansible-lint-failed\n"},
		"something else": {"usage: ansible-lint", nil, "skipped: ansible-lint-failed\n"},
	} {
		program := func(_ context.Context, program string, args ...string) ([]byte, error) {
			if program != "ansible-lint" || !slices.Contains(args, "--offline") {
				t.Errorf("%s: %s %v is run", name, program, args)
			}
			return []byte(test.out), test.err
		}
		if got := summary(lint(t, tree, Input{Program: program})); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestTerraformIsBounded(t *testing.T) {
	for name, part := range map[string]string{
		"brackets": "(", "objects": "{", "templates": `"${`, "controls": `"%{if a}`, "minus": "-", "not": "!", "conditions": "a?b:", "sums": "1+", "splats": "a.*.",
	} {
		c := (&Fleet{FS: fstest.MapFS{"main.tf": {Data: []byte("a = " + strings.Repeat(part, maxTerraform/len(part)-10))}}}).configuration("main.tf")
		if c.body != nil || len(c.broken) != 1 || !strings.Contains(c.broken[0].Message, "operators") {
			t.Errorf("%s are parsed to any depth: %+v", name, c.broken)
		}
	}
	if recursive([]byte(strings.Repeat("a = [-1, !b, {c = d ? e : f}]\n", 500))) {
		t.Error("an ordinary file is refused")
	}
	if firstDifference([]byte("a\nb\nc"), []byte("a\nB\nc")) != 2 || firstDifference([]byte("a"), []byte("a")) != 0 || firstDifference([]byte("a\n"), []byte("a")) != 1 {
		t.Error("the first line that differs is not found")
	}
}

func TestRefusedPeer(t *testing.T) {
	valid := func() map[string]any {
		return map[string]any{"myASN": int64(64512), "peerASN": int64(64513), "peerAddress": "198.51.100.1"}
	}
	if field, why := refusedPeer(valid()); why != "" {
		t.Errorf("a valid peer is refused at %s: %s", field, why)
	}
	for want, change := range map[string]map[string]any{
		"myASN":         {"myASN": nil},
		"peerASN":       {"peerASN": nil},
		"dynamicASN":    {"dynamicASN": "external"},
		"ebgpMultiHop":  {"peerASN": int64(64512), "ebgpMultiHop": true},
		"peerAddress":   {"peerAddress": "router"},
		"interface":     {"interface": "eth0"},
		"routerID":      {"routerID": "one"},
		"sourceAddress": {"sourceAddress": "here"},
		"holdTime":      {"holdTime": "2s"},
		"keepaliveTime": {"holdTime": "30s", "keepaliveTime": "31s"},
		"password":      {"password": "x", "passwordSecret": map[string]any{"name": "y"}},
	} {
		peer := valid()
		for key, value := range change {
			peer[key] = value
		}
		if field, why := refusedPeer(peer); field != want {
			t.Errorf("with %v: refused at %q (%s), want %q", change, field, why, want)
		}
	}
}
