package secret

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDoctor(t *testing.T) {
	other, _, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	secretA := FluxFile("site-a", meshCA)
	for name, test := range map[string]struct {
		harm  func(t *testing.T, s *scene)
		rules []string
	}{
		"nothing": {func(*testing.T, *scene) {}, nil},
		"recipients": {func(t *testing.T, s *scene) {
			if err := AddRecipient(s.Store, "maria", newKeyring(t).Recipients()[0], s.fleet.Sites[0]); err != nil {
				t.Fatal(err)
			}
		}, []string{"recipients-stale"}},
		"wrong site": {func(t *testing.T, s *scene) { s.put(t, secretA, s.files(t)[FluxFile("site-b", meshCA)]) },
			[]string{"recipients-stale", "secret-foreign"}},
		"edited": {func(t *testing.T, s *scene) {
			s.put(t, secretA, strings.Replace(s.files(t)[secretA], "name: cilium-ca", "name: cilium-cb", 1))
		}, []string{"secret-altered"}},
		"cut off":  {func(t *testing.T, s *scene) { s.put(t, secretA, s.files(t)[secretA][:500]) }, []string{"secret-unreadable"}},
		"plain":    {func(t *testing.T, s *scene) { s.put(t, secretA, "kind: Secret\ndata: {a: canary}\n") }, []string{"secret-plain"}},
		"missing":  {func(t *testing.T, s *scene) { s.remove(t, secretA) }, []string{"public-stale", "secret-missing"}},
		"no rules": {func(t *testing.T, s *scene) { s.remove(t, RulesFile) }, []string{"rules-missing"}},
		"no rule": {func(t *testing.T, s *scene) { s.put(t, "kubernetes/other/x.sops.yaml", s.files(t)[secretA]) },
			[]string{"rule-missing"}},
		"other CA": {func(t *testing.T, s *scene) {
			manifest, err := MeshAuthorityManifest(noon())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.rotator(false).change(secretA, func(f *File) error { return f.SetPlain(manifest) }); err != nil {
				t.Fatal(err)
			}
		}, []string{"ca-different", "public-stale"}},
		"expired": {func(t *testing.T, s *scene) {
			manifest, err := MeshAuthorityManifest(noon().AddDate(-AuthorityYears-1, 0, 0))
			if err != nil {
				t.Fatal(err)
			}
			for _, site := range s.fleet.Sites {
				if err := s.rotator(false).change(FluxFile(site.Name, meshCA), func(f *File) error { return f.SetPlain(manifest) }); err != nil {
					t.Fatal(err)
				}
				if err := s.rotator(false).public(site.Name); err != nil {
					t.Fatal(err)
				}
			}
		}, []string{"certificate-expired"}},
		"expiring": {func(t *testing.T, s *scene) {
			manifest, err := MeshAuthorityManifest(noon().Add(-AuthorityYears*365*24*time.Hour + 20*24*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			for _, site := range s.fleet.Sites {
				if err := s.rotator(false).change(FluxFile(site.Name, meshCA), func(f *File) error { return f.SetPlain(manifest) }); err != nil {
					t.Fatal(err)
				}
				if err := s.rotator(false).public(site.Name); err != nil {
					t.Fatal(err)
				}
			}
		}, []string{"certificate-expiring"}},
		"agekey": {func(_ *testing.T, s *scene) {
			s.cluster.entries = map[string]string{"age.key": s.cluster.entries["bootstrap.agekey"]}
		}, []string{"agekey-name", "cluster-identity-foreign", "cluster-identity-stale"}},
		"no Secret":       {func(_ *testing.T, s *scene) { s.cluster.entries = nil }, []string{"cluster-identity-missing"}},
		"other identity":  {func(_ *testing.T, s *scene) { s.cluster.entries["bootstrap.agekey"] = other }, []string{"cluster-identity-foreign", "cluster-identity-stale"}},
		"broken identity": {func(_ *testing.T, s *scene) { s.cluster.entries["x.agekey"] = "canary" }, []string{"cluster-identity-invalid"}},
		"half a rotation": {func(t *testing.T, s *scene) {
			if _, err := s.rotate(t, generatedIdentity, false); err != nil {
				t.Fatal(err)
			}
		}, []string{"rotation-unfinished"}},
		"stranger":    {func(t *testing.T, s *scene) { s.keys = newKeyring(t) }, []string{"identity-unknown", "secret-locked"}},
		"no identity": {func(_ *testing.T, s *scene) { s.keys = &Keyring{Identities: &Identities{}} }, []string{"identity-missing"}},
		"exposed identity": {func(_ *testing.T, s *scene) {
			s.keys.Sources = append(s.keys.Sources, KeySource{Place: "keys.txt", File: true, Mode: 0o644})
		}, []string{"identity-exposed"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			test.harm(t, s)
			before := s.files(t)
			open := func(site string) (Cluster, error) {
				if site == "site-a" {
					return s.cluster, nil
				}
				return &fakeCluster{down: true}, nil
			}
			d, err := Doctor(t.Context(), s.Store, s.fleet, s.keys, open, noon())
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			for _, f := range d.Findings {
				found[f.Rule] = true
				if text := f.Message + f.Fix; strings.Contains(text, "canary") || strings.Contains(text, "AGE-SECRET") {
					t.Errorf("a finding tells a secret: %s", text)
				}
			}
			if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, test.rules) {
				t.Errorf("got %v, want %v", got, test.rules)
			}
			if d.Unseen["site-b"] != "connection refused" {
				t.Errorf("left out: %v", d.Unseen)
			}
			if !maps.Equal(before, s.files(t)) {
				t.Error("files have changed")
			}
		})
	}
}

func TestKeyring(t *testing.T) {
	home := t.TempDir()
	identity := func() (string, string) {
		identity, recipient, err := NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		return identity, recipient
	}
	one, first := identity()
	two, second := identity()
	three, third := identity()
	standard := filepath.Join(home, ".config/sops/age/keys.txt")
	file := filepath.Join(home, "mine")
	for name, content := range map[string]string{standard: "# created: x\n" + three + "\n", file: two + "\n\n"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := LoadKeyring(environment(map[string]string{"HOME": home, KeyVariable: one + " " + two, KeyFileVariable: file}))
	if err != nil || !slices.Equal(keys.Recipients(), []string{first, second, second, third}) || len(keys.Sources) != 3 {
		t.Fatalf("%v, %v", keys, err)
	}
	if keys.Default != standard {
		t.Errorf("the file of SOPS is %s", keys.Default)
	}
	for name, variables := range map[string]map[string]string{
		"broken":      {KeyVariable: one[:40]},
		"a recipient": {KeyVariable: first},
		"a folder":    {KeyFileVariable: home},
		"no identity": {KeyFileVariable: os.DevNull + "/x"},
	} {
		_, err := LoadKeyring(environment(variables))
		if err == nil || strings.Contains(err.Error(), one[20:40]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMakeIdentityFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sops/age/keys.txt")
	recipient, err := MakeIdentityFile(name, noon())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := LoadKeyring(environment(map[string]string{KeyFileVariable: name}))
	if err != nil || !slices.Equal(keys.Recipients(), []string{recipient}) || keys.Sources[0].Mode != 0o600 {
		t.Errorf("%v, %v", keys, err)
	}
	before, _ := os.ReadFile(name)
	if _, err := MakeIdentityFile(name, noon()); err == nil {
		t.Error("it was made twice")
	}
	if after, _ := os.ReadFile(name); string(after) != string(before) {
		t.Error("it was replaced")
	}
	if info, err := os.Stat(filepath.Dir(name)); err != nil || info.Mode().Perm() != 0o700 {
		t.Error("the folder can be read")
	}
}
