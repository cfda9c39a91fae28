package secret

import (
	"encoding/pem"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestInitMakesWhatTheFleetNeeds(t *testing.T) {
	s := newStand(t, "site-a", "site-b")
	s.init(t)
	s.whole(t)
	seen := map[string]string{}
	once := func(what, value string) {
		if value == "" || seen[value] != "" {
			t.Errorf("%s is empty, or the same as %s", what, seen[value])
		}
		seen[value] = what
	}
	for _, site := range []string{"site-a", "site-b"} {
		vars := AnsibleFile(site)
		once(site+" server token", s.get(t, vars, varServerToken))
		once(site+" agent token", s.get(t, vars, varAgentToken))
		private := s.get(t, vars, varWireGuard, site+"-server-1")
		once(site+" wireguard", private)
		public, err := WireGuardPublic(private)
		if err != nil || !strings.Contains(s.files(t)[PublicFile(site)], public) {
			t.Errorf("%s: the public half %s is not written, %v", site, public, err)
		}
		git := FluxFile(site, gitSecret)
		key, err := ssh.ParsePrivateKey([]byte(s.get(t, git, "stringData", "identity")))
		if err != nil {
			t.Fatal(err)
		}
		line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
		once(site+" deploy key", line)
		if !strings.HasPrefix(s.get(t, git, "stringData", "identity.pub"), line+" flux@"+site) || !slices.ContainsFunc(s.said, func(said string) bool { return strings.Contains(said, line) }) {
			t.Errorf("%s: the public half of the deploy key is not told", site)
		}
		if hosts := s.get(t, git, "stringData", "known_hosts"); hosts != "git.example.org ssh-ed25519 AAAA\n" {
			t.Errorf("known_hosts is %q", hosts)
		}
		// The site's own key opens what Flux decrypts there, and nothing else.
		identity := s.get(t, vars, varIdentities, "0")
		keys, err := ParseIdentities(identity)
		if err != nil {
			t.Fatal(err)
		}
		once(site+" identity", identity)
		for name, content := range s.files(t) {
			if !IsSealedName(name) {
				continue
			}
			f, err := ParseFile(name, []byte(content))
			if err != nil {
				t.Fatal(err)
			}
			if opens, want := f.Open(keys) == nil, strings.HasPrefix(name, clusters+"/"+site+"/"); opens != want {
				t.Errorf("the key of %s opens %s: %v", site, name, opens)
			}
		}
	}
	certificate := s.get(t, FluxFile("site-a", meshCA), "stringData", "ca.crt")
	if certificate != s.get(t, FluxFile("site-b", meshCA), "stringData", "ca.crt") {
		t.Error("the sites have different CAs")
	}
	ca, err := certificateOf(s.open(t, FluxFile("site-a", meshCA)), "stringData", "ca.crt")
	if err != nil || !ca.IsCA || ca.NotAfter.Before(noon().AddDate(AuthorityYears, 0, -7)) {
		t.Errorf("got %+v, %v", ca, err)
	}
	if block, _ := pem.Decode([]byte(s.get(t, FluxFile("site-b", meshCA), "stringData", "ca.key"))); block == nil {
		t.Error("the CA has no key")
	}

	before := s.files(t)
	s.init(t)
	if !maps.Equal(before, s.files(t)) {
		t.Error("the second time changed files")
	}
}

// A run that ends anywhere leaves whole files, and the next one completes them
// without changing what is there.
func TestInitGoesOn(t *testing.T) {
	for n := range 40 {
		s := newStand(t, "site-a", "site-b")
		s.full(n)
		err := Init(s.Store, s.fleet, s.keys, s.options())
		if err == nil {
			if n < 8 {
				t.Fatalf("it writes %d files only", n)
			}
			return
		}
		if !strings.Contains(err.Error(), "no space left") {
			t.Fatal(err)
		}
		s.whole(t)
		before := s.files(t)
		s.init(t)
		s.whole(t)
		after := s.files(t)
		for name, content := range before {
			if name != RulesFile && !strings.HasSuffix(name, "keys.yml") && after[name] != content {
				t.Errorf("after write %d failed, the next run changed %s", n, name)
			}
		}
		if s.get(t, FluxFile("site-a", meshCA), "stringData", "ca.crt") != s.get(t, FluxFile("site-b", meshCA), "stringData", "ca.crt") {
			t.Errorf("after write %d failed, the sites have different CAs", n)
		}
	}
	t.Error("it never succeeded")
}

func TestInitNewSite(t *testing.T) {
	s := newStand(t, "site-b")
	s.init(t)
	ca := s.get(t, FluxFile("site-b", meshCA), "stringData", "ca.crt")
	before := s.files(t)
	s.fleet = newStand(t, "site-a", "site-b").fleet
	s.init(t)
	after := s.files(t)
	for name, content := range before {
		if name != RulesFile && after[name] != content {
			t.Errorf("%s has changed", name)
		}
	}
	if s.get(t, FluxFile("site-a", meshCA), "stringData", "ca.crt") != ca {
		t.Error("the new site has another CA")
	}
}

// What was there before is not made anew.
func TestInitStopsWhenSomethingIsLost(t *testing.T) {
	gone := func(names ...string) func(*testing.T, *stand, *InitOptions) {
		return func(t *testing.T, s *stand, _ *InitOptions) {
			for _, name := range names {
				s.remove(t, name)
			}
		}
	}
	move := func(from, to string) func(*testing.T, *stand, *InitOptions) {
		return func(t *testing.T, s *stand, _ *InitOptions) {
			s.put(t, to, s.files(t)[from])
			s.remove(t, from)
		}
	}
	authorities := []string{FluxFile("site-a", meshCA), FluxFile("site-b", meshCA)}
	for name, test := range map[string]struct {
		harm  func(*testing.T, *stand, *InitOptions)
		lost  string
		trace string
		again string // with this --recreate it goes on
	}{
		"the rules":           {gone(RulesFile), RulesFile, "there are encrypted files", ""},
		"the CA of all sites": {gone(authorities...), authorities[0], "names the mesh CA", authorities[0]},
		"the CA of all sites, in the history": {func(t *testing.T, s *stand, o *InitOptions) {
			gone(append(authorities, PublicFile("site-a"), PublicFile("site-b"))...)(t, s, o)
			o.History = func(file string) (bool, error) { return file == FluxFile("*", meshCA), nil }
		}, FluxFile("*", meshCA), "the history of the repository has it", authorities[1]},
		"a misspelt CA":            {move(authorities[0], clusters+"/site-a/secrets/cilium_ca.sops.yaml"), authorities[0], "looks like it", ""},
		"a CA with another ending": {move(authorities[0], clusters+"/site-a/secrets/cilium-ca.sops.yml"), authorities[0], "looks like it", ""},
		"a CA of another name":     {move(authorities[0], clusters+"/site-a/secrets/mesh.sops.yaml"), authorities[0], "mesh.sops.yaml looks like it", ""},
		"the variables":            {gone(AnsibleFile("site-a")), AnsibleFile("site-a"), "names the key of site-a", ""},
		"misspelt variables":       {move(AnsibleFile("site-a"), inventories+"/site-a/group_vars/all/secret.sops.yml"), AnsibleFile("site-a"), "looks like it", ""},
		"the credentials":          {gone(FluxFile("site-a", gitSecret)), FluxFile("site-a", gitSecret), "names its public half", FluxFile("site-a", gitSecret)},
		"a misspelt variable": {func(t *testing.T, s *stand, _ *InitOptions) {
			f, before, err := OpenFile(s.Store, s.keys.Identities, AnsibleFile("site-a"))
			if err != nil {
				t.Fatal(err)
			}
			token, _ := f.Get([]string{varServerToken})
			f.Remove(varServerToken)
			_, _ = f.Set([]string{"k3s_server_tokn"}, token)
			if err := WriteFile(s.Store, s.keys.Identities, f, before); err != nil {
				t.Fatal(err)
			}
		}, varServerToken + " in " + AnsibleFile("site-a"), "k3s_server_tokn looks like it", ""},
		"the identity": {func(t *testing.T, s *stand, _ *InitOptions) {
			f, before, err := OpenFile(s.Store, s.keys.Identities, AnsibleFile("site-a"))
			if err != nil {
				t.Fatal(err)
			}
			f.Remove(varIdentities)
			if err := WriteFile(s.Store, s.keys.Identities, f, before); err != nil {
				t.Fatal(err)
			}
		}, varIdentities + " in " + AnsibleFile("site-a"), "names the key of site-a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, "site-a", "site-b")
			s.init(t)
			o := s.options()
			test.harm(t, s, &o)
			before := s.files(t)
			err := Init(s.Store, s.fleet, s.keys, o)
			lost, ok := errors.AsType[*LostError](err)
			if !ok || lost.File != test.lost || !strings.Contains(err.Error(), test.trace) || lost.Hint == "" {
				t.Fatalf("got %v", err)
			}
			if !maps.Equal(before, s.files(t)) {
				t.Error("files have changed")
			}
			if test.again != "" {
				o.Recreate = []string{test.again}
				if err := Init(s.Store, s.fleet, s.keys, o); err != nil {
					t.Errorf("with --recreate: %v", err)
				}
			}
		})
	}
}

func TestInitCopiesTheAuthority(t *testing.T) {
	s := newStand(t, "site-a", "site-b")
	s.init(t)
	ca := s.get(t, FluxFile("site-b", meshCA), "stringData", "ca.crt")
	s.remove(t, FluxFile("site-a", meshCA))
	s.init(t)
	if s.get(t, FluxFile("site-a", meshCA), "stringData", "ca.crt") != ca {
		t.Error("site-a has another CA")
	}
}

func TestInitLeavesOut(t *testing.T) {
	s := newStand(t, "site-a", "site-b")
	s.fleet.Sites[1].Facts.GitURL = "https://git.example.org/fleet.git"
	o := s.options()
	o.KnownHosts = func(string) (string, error) { return "", nil }
	o.Password = func(string) (string, string, bool, error) { return "", "", false, nil }
	if err := Init(s.Store, s.fleet, s.keys, o); err != nil {
		t.Fatal(err)
	}
	for _, site := range []string{"site-a", "site-b"} {
		if s.files(t)[FluxFile(site, gitSecret)] != "" {
			t.Errorf("%s has credentials", site)
		}
	}
	said := strings.Join(s.said, "\n")
	if !strings.Contains(said, "host key of git.example.org is not known") || !strings.Contains(said, "--git-user") {
		t.Errorf("it said\n%s", said)
	}
	s.init(t)
	if s.get(t, FluxFile("site-b", gitSecret), "stringData", "password") != "git-password" {
		t.Error("the next run did not make them")
	}
}

func TestInitOfAStranger(t *testing.T) {
	s := newStand(t, "site-a")
	s.init(t)
	before := s.files(t)
	s.keys = newKeyring(t)
	err := Init(s.Store, s.fleet, s.keys, s.options())
	if _, ok := errors.AsType[*NotOperatorError](err); !ok {
		t.Fatalf("got %v", err)
	}
	if !maps.Equal(before, s.files(t)) {
		t.Error("files have changed")
	}
}
