package secret

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeCluster is a cluster's Secret sops-age and what Flux has applied.
type fakeCluster struct {
	entries map[string]string
	version int
	applied string
	down    bool
}

func (c *fakeCluster) Identities(context.Context) (map[string]string, string, error) {
	if c.down {
		return nil, "", errors.New("connection refused")
	}
	return maps.Clone(c.entries), fmt.Sprint(c.version), nil
}

func (c *fakeCluster) SetIdentities(_ context.Context, entries map[string]string, version string) error {
	if c.down || version != fmt.Sprint(c.version) {
		return errors.New("refused")
	}
	c.entries, c.version = entries, c.version+1
	return nil
}

func (c *fakeCluster) Applied(context.Context) (string, error) { return c.applied, nil }

// scene is a fleet with a cluster and a history of commits.
type scene struct {
	*stand
	cluster *fakeCluster
	commits map[string]map[string]string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{stand: newStand(t, "site-a", "site-b"), commits: map[string]map[string]string{}}
	s.init(t)
	s.cluster = &fakeCluster{entries: map[string]string{"bootstrap.agekey": s.get(t, AnsibleFile("site-a"), varIdentities, "0") + "\n"}}
	s.reconcile(t)
	return s
}

// reconcile commits everything and lets Flux apply it, which must work.
func (s *scene) reconcile(t *testing.T) {
	t.Helper()
	name := fmt.Sprint("commit ", len(s.commits))
	s.commits[name] = s.files(t)
	s.decrypts(t, s.commits[name])
	s.cluster.applied = name
}

// decrypts checks that the cluster opens what Flux applies of a commit.
func (s *scene) decrypts(t *testing.T, files map[string]string) {
	t.Helper()
	var texts []string
	for name, text := range s.cluster.entries {
		if strings.HasSuffix(name, ".agekey") {
			texts = append(texts, text)
		}
	}
	keys, err := ParseIdentities(texts...)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if strings.HasPrefix(name, clusters+"/site-a/secrets/") {
			f, err := ParseFile(name, []byte(content))
			if err == nil {
				err = f.Open(keys)
			}
			if err != nil {
				t.Errorf("Flux cannot decrypt: %v", err)
			}
		}
	}
}

func (s *scene) rotator(switched bool) *Rotator {
	return &Rotator{
		Store: s.Store, Keys: s.keys, Now: noon().Add(time.Hour), Switched: switched,
		Open: func(string) (Cluster, error) { return s.cluster, nil },
		FileAt: func(revision, file string) ([]byte, error) {
			if content, ok := s.commits[revision][file]; ok {
				return []byte(content), nil
			}
			return nil, errors.New("no such file")
		},
		Say: func(text string) { s.said = append(s.said, text) },
	}
}

// rotate runs one round and returns how far it got, as d(one), n(ow) and w(aits),
// before it ran.
func (s *scene) rotate(t *testing.T, name string, switched bool) (states string, err error) {
	t.Helper()
	steps, err := s.rotator(switched).Generated(t.Context(), name, s.fleet, s.fleet.Sites[:1])
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		states += string(step.State[0])
		if step.State == StepNow && err == nil {
			err = step.Run()
			s.decrypts(t, s.files(t))                   // what would be pushed now
			s.decrypts(t, s.commits[s.cluster.applied]) // what Flux works with
		}
		if step.State == StepWait && strings.Contains(step.Note, "AGE-SECRET") {
			t.Error("a note tells a secret")
		}
	}
	s.whole(t)
	return states, err
}

func (s *scene) identities(t *testing.T) []string {
	t.Helper()
	identities, err := identitiesOf(s.open(t, AnsibleFile("site-a")))
	if err != nil {
		t.Fatal(err)
	}
	return identities
}

func TestRotateIdentity(t *testing.T) {
	s := newScene(t)
	old := s.identities(t)[0]
	run := func(want string, switched bool) {
		t.Helper()
		if got, err := s.rotate(t, generatedIdentity, switched); err != nil || got != want {
			t.Fatalf("got %s, %v; want %s", got, err, want)
		}
	}
	run("nnnnnnw", false)
	run("ddddddw", false) // Flux has not applied it yet
	if len(s.identities(t)) != 2 || !strings.Contains(s.cluster.entries[ClusterEntry], old) {
		t.Error("the old identity is gone too early")
	}
	s.reconcile(t)
	run("ddddddn", false)
	s.reconcile(t)
	now := s.identities(t)
	if len(now) != 1 || now[0] == old || s.cluster.entries[ClusterEntry] != now[0]+"\n" || len(s.cluster.entries) != 1 {
		t.Errorf("the old identity is still there")
	}
	// The stolen key opens nothing that is written from now on.
	keys, err := ParseIdentities(old)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range s.files(t) {
		if f, err := ParseFile(name, []byte(content)); IsSealedName(name) && (err != nil || f.Open(keys) == nil) {
			t.Errorf("the old key opens %s, %v", name, err)
		}
	}
	rules, err := LoadRules(s.Store)
	if err != nil {
		t.Fatal(err)
	}
	if of := rules.OfSite("site-a"); len(of) != 1 || of[0].Name != "site_site-a" {
		t.Errorf("the rules name %v", of)
	}
	d, err := Doctor(t.Context(), s.Store, s.fleet, s.keys, nil, noon())
	if err != nil || len(d.Findings) != 0 {
		t.Errorf("got %v, %v", d.Findings, err)
	}
}

// Without a cluster the user says what has happened there.
func TestRotateIdentityBlind(t *testing.T) {
	s := newScene(t)
	old := s.identities(t)[0]
	s.cluster.down = true
	for i, round := range []struct {
		switched bool
		want     string
	}{
		{true, "nnnwwww"}, // a word about what has not begun counts for nothing
		{false, "dddwwww"},
		{true, "ddddnnw"},
		{false, "ddddddw"},
		{true, "ddddddn"},
	} {
		if i == 2 { // the bootstrap does it
			s.cluster.entries[ClusterEntry] = strings.Join(s.identities(t), "\n")
		}
		if got, err := s.rotate(t, generatedIdentity, round.switched); err != nil || got != round.want {
			t.Fatalf("round %d: got %s, %v; want %s", i, got, err, round.want)
		}
		s.reconcile(t)
	}
	if now := s.identities(t); len(now) != 1 || now[0] == old {
		t.Error("it is not done")
	}
}

// An identity that somebody else put into the cluster stays there.
func TestRotateIdentityKeepsOthers(t *testing.T) {
	s := newScene(t)
	other, _, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	s.cluster.entries["other.agekey"] = "# of another team\n" + other + "\n"
	for range 2 {
		if _, err := s.rotate(t, generatedIdentity, false); err != nil {
			t.Fatal(err)
		}
		s.reconcile(t)
	}
	if !strings.Contains(s.cluster.entries[ClusterEntry], other) {
		t.Error("it is gone")
	}
}

// A rotation that is interrupted at any write goes on, and Flux decrypts all along.
func TestRotateGoesOn(t *testing.T) {
	for _, name := range Generated() {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			failed := 0
			for n := range 6 {
				s.full(0)
				_, err := s.rotate(t, name, true)
				if err != nil {
					failed++
				}
				s.full(n % 3)
				_, _ = s.rotate(t, name, true)
				s.full(-1)
				if n%4 == 3 {
					s.reconcile(t)
				}
			}
			if failed == 0 {
				t.Error("nothing was interrupted")
			}
			for range 6 { // to the end
				if _, err := s.rotate(t, name, true); err != nil {
					t.Fatal(err)
				}
				s.reconcile(t)
				d, err := Doctor(t.Context(), s.Store, s.fleet, s.keys, nil, noon())
				if err != nil {
					t.Fatal(err)
				}
				if len(d.Findings) == 0 {
					return
				}
			}
			t.Error("it does not come to an end")
		})
	}
}

func TestRotateValues(t *testing.T) {
	s := newScene(t)
	value := func(file string, path ...string) func() string {
		return func() string { return s.get(t, file, path...) }
	}
	vars := AnsibleFile("site-a")
	for name, test := range map[string]struct {
		value  func() string
		rounds string // the states before each round; a ! before one is --switched
	}{
		generatedServerToken: {value(vars, varServerToken), "nw dw !dn"},
		generatedAgentToken:  {value(vars, varAgentToken), "nw dw !dn"},
		generatedWireGuard:   {value(vars, varWireGuard, "site-a-server-1"), "nw"},
		generatedDeployKey:   {value(FluxFile("site-a", gitSecret), "stringData", "identity"), "nww dww !dnw"},
		generatedMeshCA:      {value(FluxFile("site-b", meshCA), "stringData", "ca.key"), "nnw"},
	} {
		t.Run(name, func(t *testing.T) {
			before := test.value()
			for round := range strings.FieldsSeq(test.rounds) {
				want, switched := strings.CutPrefix(round, "!")
				if got, err := s.rotate(t, name, switched); err != nil || got != want {
					t.Fatalf("got %s, %v; want %s", got, err, want)
				}
			}
			if test.value() == before {
				t.Error("the value is the same")
			}
			for _, left := range s.open(t, vars).Names() {
				if strings.HasSuffix(left, suffixPrevious) {
					t.Errorf("%s is left", left)
				}
			}
			d, err := Doctor(t.Context(), s.Store, s.fleet, s.keys, nil, noon())
			if err != nil || len(d.Findings) > 0 {
				t.Errorf("got %v, %v", d.Findings, err)
			}
		})
	}
}

func TestRecipients(t *testing.T) {
	s := newScene(t)
	maria, paul := newKeyring(t), newKeyring(t)
	opened := func(keys *Keyring) (names []string) {
		for name, content := range s.files(t) {
			if f, err := ParseFile(name, []byte(content)); err == nil && f.Open(keys.Identities) == nil {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	follow := func() {
		t.Helper()
		steps, err := s.rotator(false).Recipients(nil)
		if err != nil || len(steps) == 0 {
			t.Fatalf("%d steps, %v", len(steps), err)
		}
		for _, step := range steps {
			if err := step.Run(); err != nil {
				t.Fatal(err)
			}
		}
		if again, err := s.rotator(false).Recipients(nil); err != nil || len(again) > 0 {
			t.Fatalf("again %d steps, %v", len(again), err)
		}
		s.whole(t)
	}
	all := opened(s.keys)
	if err := AddRecipient(s.Store, "maria", maria.Recipients()[0], nil); err != nil {
		t.Fatal(err)
	}
	if err := AddRecipient(s.Store, "paul", paul.Recipients()[0], s.fleet.Sites[1]); err != nil {
		t.Fatal(err)
	}
	follow()
	if got := opened(maria); !slices.Equal(got, all) {
		t.Errorf("maria opens %v", got)
	}
	want := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return SiteOf(name) != "site-b" })
	if got := opened(paul); len(got) != 3 || !slices.Equal(got, want) {
		t.Errorf("paul opens %v", got)
	}
	dataKey := func() string {
		f := s.open(t, FluxFile("site-a", meshCA))
		return string(f.tree.Metadata.DataKey)
	}
	before := dataKey()
	if _, err := RemoveRecipient(s.Store, s.keys.Identities, "maria"); err != nil {
		t.Fatal(err)
	}
	follow()
	if got := opened(maria); len(got) > 0 {
		t.Errorf("maria still opens %v", got)
	}
	if before == dataKey() {
		t.Error("the data key that maria knows is still in use")
	}
	if got := opened(s.keys); !slices.Equal(got, all) {
		t.Errorf("the operator opens %v", got)
	}

	untouched := s.files(t)
	for who, want := range map[string]string{
		"ann": "none of your identities", "site_site-a": "rotate --generated sops-age site-a", "nobody": "names 0 recipients",
	} {
		if _, err := RemoveRecipient(s.Store, s.keys.Identities, who); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("remove %s: %v", who, err)
		}
	}
	secretHalf, _, _ := NewIdentity()
	good := newKeyring(t).Recipients()[0]
	for recipient, want := range map[string]string{
		secretHalf:              "that is a private key",
		"age1nobody":            "no age recipient",
		good[:40]:               "no age recipient",
		"ssh-ed25519 AAAA":      "age1...",
		"age1yubikey1qqqqqqqqq": "age1...",
		paul.Recipients()[0]:    "names this recipient already",
		"":                      "age1...",
	} {
		err := AddRecipient(s.Store, "new", recipient, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secretHalf[20:40]) {
			t.Errorf("add %q: %v", recipient, err)
		}
	}
	for _, name := range []string{"ann", "a b", "", "é", strings.Repeat("x", 80), "x:\n"} {
		if err := AddRecipient(s.Store, name, good, nil); err == nil {
			t.Errorf("accepted the name %q", name)
		}
	}
	if !maps.Equal(untouched, s.files(t)) {
		t.Error("files have changed")
	}
}

func TestDataKeys(t *testing.T) {
	s := newScene(t)
	name := FluxFile("site-a", meshCA)
	before, value := s.files(t), s.get(t, name, "stringData", "ca.key")
	steps, err := s.rotator(false).DataKeys(s.fleet.Sites[:1])
	if err != nil || len(steps) != 3 {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	for _, step := range steps {
		if err := step.Run(); err != nil {
			t.Fatal(err)
		}
	}
	if s.get(t, name, "stringData", "ca.key") != value {
		t.Error("the value has changed")
	}
	for file, content := range s.files(t) {
		if changed := before[file] != content; changed != (IsSealedName(file) && SiteOf(file) == "site-a") {
			t.Errorf("%s has changed: %v", file, changed)
		}
	}
}
