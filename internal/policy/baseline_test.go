package policy

import (
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"archipel/internal/finding"
)

// noon is a moment of the day on which the entries of these tests end.
func noon() time.Time { return time.Date(2027, 3, 31, 12, 0, 0, 0, time.UTC) }

func baseline(t *testing.T, text string, now time.Time) *Baseline {
	t.Helper()
	b, findings := LoadBaseline(fstest.MapFS{BaselineFile: {Data: []byte(text)}}, now)
	if len(findings) > 0 {
		t.Fatalf("%+v", findings)
	}
	return b
}

const oneEntry = `accepted:
  - rules: [container-privileged, host-network]
    subject: DaemonSet kube-system/cilium*
    site: site-a
    reason: it is the network
    until: 2027-03-31
`

func TestBaselineAccepts(t *testing.T) {
	privileged := finding.Finding{Rule: "container-privileged", Subject: "DaemonSet kube-system/cilium container cilium-agent", Sites: []string{"site-a", "site-b"}}
	for name, test := range map[string]struct {
		now     time.Time
		change  func(*finding.Finding)
		left    []string
		nothing bool
	}{
		"at one of its sites":       {noon(), func(*finding.Finding) {}, []string{"site-b"}, false},
		"at all of its sites":       {noon(), func(f *finding.Finding) { f.Sites = []string{"site-a"} }, nil, true},
		"another rule":              {noon(), func(f *finding.Finding) { f.Rule = "host-pid" }, privileged.Sites, false},
		"another subject":           {noon(), func(f *finding.Finding) { f.Subject = "DaemonSet other/cilium" }, privileged.Sites, false},
		"the day after":             {noon().AddDate(0, 0, 1), func(*finding.Finding) {}, privileged.Sites, false},
		"a finding about no site":   {noon(), func(f *finding.Finding) { f.Sites = nil }, []string{}, false},
		"without a subject of mine": {noon(), func(f *finding.Finding) { f.Subject = "" }, privileged.Sites, false},
	} {
		f := privileged
		f.Sites = slices.Clone(f.Sites)
		test.change(&f)
		got := baseline(t, oneEntry, test.now).Use().Left(f)
		if !slices.Equal(got, test.left) || (got == nil) != test.nothing {
			t.Errorf("%s: left %q", name, got)
		}
	}
	var none *Baseline
	if got := none.Use().Left(privileged); !slices.Equal(got, privileged.Sites) {
		t.Errorf("no baseline: %q", got)
	}
}

func TestBaselineProblems(t *testing.T) {
	rules := func(b *Baseline, ran func(string) bool, all bool) []string {
		u := b.Use()
		u.Left(finding.Finding{Rule: "container-privileged", Subject: "DaemonSet kube-system/cilium", Sites: []string{"site-a"}})
		var ids []string
		for _, f := range u.Problems(ran, all) {
			ids = append(ids, f.Rule)
		}
		return ids
	}
	every := func(string) bool { return true }
	if got := rules(baseline(t, oneEntry, noon()), every, true); !slices.Equal(got, []string{"baseline-unused"}) {
		t.Errorf("%q: host-network accepts nothing", got)
	}
	if got := rules(baseline(t, oneEntry, noon()), every, false); got != nil {
		t.Errorf("%q, while a site is left out", got)
	}
	if got := rules(baseline(t, oneEntry, noon()), func(rule string) bool { return rule != "host-network" }, true); got != nil {
		t.Errorf("%q of a rule that did not run", got)
	}
	if got := rules(baseline(t, oneEntry, noon().AddDate(0, 0, 1)), every, false); !slices.Equal(got, []string{"baseline-expired"}) {
		t.Errorf("%q after the last day", got)
	}
}

func TestBaselineRefuses(t *testing.T) {
	for text, findings := range map[string]int{
		"accepted: {}\n":  1,
		"accepted: []\n":  0,
		"excepted: []\n":  1,
		"accepted: [7]\n": 1,
		"accepted:\n  - {rules: [a-b], subject: a, reason: b, until: soon}\n":                                  1,
		"accepted:\n  - {rules: [a-b], reason: b, until: 2027-01-01}\n":                                        1,
		"accepted:\n  - {rules: [], subject: a, reason: b, until: 2027-01-01}\n":                               1,
		"accepted:\n  - {subject: a}\n":                                                                        3,
		"accepted:\n  - {rules: [a-b], path: '[', reason: b, until: 2027-01-01}\n":                             1,
		"accepted:\n  - {rules: [a-b], subject: a, reason: b, until: 2027-01-01, site: x, ever: true}\n":       1,
		"accepted:\n  - {rules: [a-b], subject: a, reason: b, until: 2027-01-01}\n---\nmore: documents here\n": 1,
	} {
		b, got := LoadBaseline(fstest.MapFS{BaselineFile: {Data: []byte(text)}}, noon())
		if len(got) != findings {
			t.Errorf("%q: %+v", text, got)
		}
		for _, f := range got {
			if f.Position.File != BaselineFile || f.Position.Line == 0 || f.Rule != "baseline-invalid" || f.Fix == "" {
				t.Errorf("%q: %+v", text, f)
			}
		}
		if findings > 0 && len(b.Accepted) > 0 && got[0].Position.Line == 2 {
			t.Errorf("%q: accepts %+v", text, b.Accepted)
		}
	}
	if b, findings := LoadBaseline(fstest.MapFS{}, noon()); b != nil || findings != nil {
		t.Errorf("no file: %+v %+v", b, findings)
	}
}

func TestWildcard(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a*", "ab/c d", true}, {"*", "", true}, {"a*b", "ab", true}, {"a*b", "acb", true},
		{"a*b", "abc", false}, {"a*a", "a", false}, {"*b*d", "abcd", true}, {"*b*c*", "acb", false}, {"", "a", false},
	} {
		if got := wildcard(test.pattern, test.text); got != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, test.text, got)
		}
	}
}

// FuzzLoadBaseline looks for panics, and for entries that would accept too much.
func FuzzLoadBaseline(f *testing.F) {
	f.Add([]byte(oneEntry))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, findings := LoadBaseline(fstest.MapFS{BaselineFile: {Data: data}}, noon())
		for _, a := range b.Accepted {
			if a.Reason == "" || len(a.Rules) == 0 || a.Subject+a.Path == "" || a.Until.IsZero() || a.Position.Line == 0 {
				t.Errorf("incomplete entry %+v", a)
			}
		}
		for _, f := range findings {
			if f.Position.File != BaselineFile || f.Message == "" {
				t.Errorf("%+v", f)
			}
		}
	})
}
