package secret

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"archipel/internal/fleet"

	"sigs.k8s.io/yaml"
)

// InitOptions say how what is missing is made.
type InitOptions struct {
	Operator string   // the name of the one whose identity opens everything
	Recreate []string // files that may be made anew although they were there before
	Now      time.Time
	// Say reports one thing that was done or left out.
	Say func(text string)
	// History says whether a file was ever committed; nil when nobody knows. A * stands
	// for any one folder.
	History func(file string) (bool, error)
	// KnownHosts returns the lines of known_hosts for a host, "" when it is not known.
	KnownHosts func(host string) (string, error)
	// Password returns how Flux reads a Git repository over https; ok is false
	// when nobody can say.
	Password func(url string) (user, password string, ok bool, err error)
}

// LostError says that a file is gone that was there before. Making it anew would
// part the fleet from what runs.
type LostError struct{ File, Trace, Hint string }

func (e *LostError) Error() string { return fmt.Sprintf("%s is missing, but %s", e.File, e.Trace) }

// NotOperatorError says that the user's identities open nothing.
type NotOperatorError struct{ Recipients []string }

func (e *NotOperatorError) Error() string {
	return fmt.Sprintf("%s names no operator with your key (%s)", RulesFile, strings.Join(e.Recipients, ", "))
}

// maker is one run of Init.
type maker struct {
	InitOptions
	store *Store
	keys  *Keyring
	rules *Rules
	sites []*fleet.Site
	vars  map[string]*File // the opened AnsibleFile by site
}

// Init makes what the fleet's secrets lack, each thing once and encrypted when
// it first reaches the disk, and changes nothing else. It can be stopped at any
// point and run again.
func Init(s *Store, f *fleet.Fleet, keys *Keyring, o InitOptions) error {
	rules, err := LoadRules(s)
	if err != nil {
		return err
	}
	m := &maker{InitOptions: o, store: s, keys: keys, rules: rules, sites: f.Sites, vars: map[string]*File{}}
	for _, step := range []func() error{m.beginRules, m.misplaced, m.variables, m.siteRules, m.authority, m.git, m.public} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// beginRules makes .sops.yaml with the operator and the rules of the variables.
func (m *maker) beginRules() error {
	if !m.rules.Exists() {
		files, err := m.store.Files()
		if err != nil {
			return err
		}
		if len(files) > 0 {
			if err := m.lost(RulesFile, "there are encrypted files, such as "+files[0]); err != nil {
				return err
			}
		} else if err := m.lost(RulesFile, ""); err != nil {
			return err
		}
		m.rules.NewRules()
		if err := m.rules.AddKey(operatorPrefix+m.Operator, m.keys.Recipients()[0]); err != nil {
			return err
		}
	}
	operators := names(m.rules.Operators())
	if !m.keys.Opens(operators) {
		return &NotOperatorError{m.keys.Recipients()}
	}
	for _, site := range m.sites {
		if m.rules.covers(AnsibleFile(site.Name)) == nil {
			m.rules.AddRule(ansiblePattern(site.Name), "", operators)
		}
	}
	return m.saveRules()
}

func names(recipients []RecipientName) []string {
	var plain []string
	for _, r := range recipients {
		plain = append(plain, r.Recipient)
	}
	return plain
}

func (m *maker) saveRules() error {
	written, err := m.rules.Save(m.store)
	if written {
		m.Say("wrote " + RulesFile)
	}
	return err
}

// lost refuses to make a file that was there before, by a trace or by the
// history, unless the user says so.
func (m *maker) lost(file, trace string) error {
	if slices.Contains(m.Recreate, file) {
		return nil
	}
	if trace == "" && m.History != nil {
		was, err := m.History(file)
		if err != nil {
			return err
		}
		if was {
			trace = "the history of the repository has it"
		}
	}
	if trace == "" {
		return nil
	}
	return &LostError{file, trace, "take it from the history (git log --all -- " + file +
		"), or, when it is gone for good, make another with: archipel secret init --recreate " + file}
}

// misplaced finds the fleet's files under another name: a misspelt file must not
// make a second one.
func (m *maker) misplaced() error {
	for _, site := range m.sites {
		for _, file := range []string{FluxFile(site.Name, meshCA), FluxFile(site.Name, gitSecret), AnsibleFile(site.Name)} {
			if err := m.misspelt(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// misspelt finds a file that is meant to be another one, which is missing: by
// its name, or by that of the Secret in it.
func (m *maker) misspelt(file string) error {
	if _, err := m.store.Read(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	stem := func(name string) string { before, _, _ := strings.Cut(path.Base(name), "."); return before }
	entries, err := fs.ReadDir(m.store.root.FS(), path.Dir(file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading %s: %w", path.Dir(file), cause(err))
	}
	for _, entry := range entries {
		other := path.Join(path.Dir(file), entry.Name())
		if entry.IsDir() || strings.HasSuffix(other, ".md") {
			continue
		}
		_, alike := fleet.Nearest(stem(other), []string{stem(file)})
		if data, err := m.store.Read(other); err == nil && !alike && IsSealedName(other) {
			f, err := ParseFile(other, data)
			alike = err == nil && f.Readable("kind") == "Secret" && f.Readable("metadata", "name") == stem(file)
		}
		if alike {
			return &LostError{file, other + " looks like it", "rename it: git mv " + other + " " + file}
		}
	}
	return nil
}

// variables makes what Ansible and the bootstrap need of each site.
func (m *maker) variables() error {
	for _, site := range m.sites {
		file := AnsibleFile(site.Name)
		rule, err := m.rules.For(file)
		if err != nil {
			return err
		}
		before, err := m.store.Read(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			trace := ""
			if len(m.rules.OfSite(site.Name)) > 0 {
				trace = RulesFile + " names the key of " + site.Name + ", which it held"
			}
			if err := m.lost(file, trace); err != nil {
				return err
			}
		case err != nil:
			return err
		}
		f, made, err := m.fill(site, file, before, rule)
		if err != nil {
			return err
		}
		if len(made) > 0 {
			if err := m.write(f, before); err != nil {
				return err
			}
			m.Say(fmt.Sprintf("wrote %s: %s", file, strings.Join(made, ", ")))
		}
		m.vars[site.Name] = f
	}
	return nil
}

// fill adds to the variables of a site what they lack, and says what that was.
func (m *maker) fill(site *fleet.Site, file string, before []byte, rule Rule) (f *File, made []string, err error) {
	if before == nil {
		if f, err = NewFile(file, []byte(varServerToken+": "+NewToken()+"\n"), rule); err != nil {
			return nil, nil, err
		}
		made = append(made, varServerToken)
	} else {
		if f, err = ParseFile(file, before); err != nil {
			return nil, nil, err
		}
		if err := f.Open(m.keys.Identities); err != nil {
			return nil, nil, err
		}
	}
	missing := func(path ...string) (bool, error) {
		if lookUp(f.tree.Branches[0], path) != nil {
			return false, nil
		}
		for _, name := range f.Names() {
			top, _, _ := strings.Cut(name, "/")
			if near, ok := fleet.Nearest(top, []string{path[0]}); ok && !slices.Contains(knownVariables(), top) {
				return false, &LostError{near + " in " + file, top + " looks like it", "rename it: archipel secret edit " + file}
			}
		}
		return true, nil
	}
	add := func(value any, path ...string) error {
		_, err := f.Set(path, value)
		made = append(made, strings.Join(path, "/"))
		return err
	}
	for _, name := range []string{varServerToken, varAgentToken} {
		if none, err := missing(name); err != nil {
			return nil, nil, err
		} else if none {
			if err := add(NewToken(), name); err != nil {
				return nil, nil, err
			}
		}
	}
	if none, err := missing(varIdentities); err != nil {
		return nil, nil, err
	} else if none {
		if known := m.rules.OfSite(site.Name); len(known) > 0 && !slices.Contains(m.Recreate, file) {
			return nil, nil, &LostError{varIdentities + " in " + file, RulesFile + " names the key of " + site.Name,
				"take the file from the history (git log --all -- " + file + ")"}
		}
		identity, _, err := NewIdentity()
		if err != nil {
			return nil, nil, err
		}
		if err := add([]any{identity}, varIdentities); err != nil {
			return nil, nil, err
		}
	}
	if site.Facts.Interconnect == "wireguard" {
		for _, node := range site.Gateways {
			if none, err := missing(varWireGuard, node); err != nil {
				return nil, nil, err
			} else if none {
				if err := add(NewWireGuardKey(), varWireGuard, node); err != nil {
					return nil, nil, err
				}
			}
		}
	}
	return f, made, nil
}

func (m *maker) write(f *File, before []byte) error {
	return WriteFile(m.store, m.keys.Identities, f, before)
}

// identitiesOf returns the age identities of a site, the newest first.
func identitiesOf(f *File) ([]string, error) {
	list, ok := lookUp(f.tree.Branches[0], []string{varIdentities}).([]any)
	var identities []string
	for _, element := range list {
		if text, ok := element.(string); ok {
			identities = append(identities, text)
		}
	}
	if !ok || len(identities) == 0 {
		return nil, fmt.Errorf("%s: %s is no list of age identities", f.Name, varIdentities)
	}
	for i, identity := range identities {
		if _, err := RecipientOf(identity); err != nil {
			return nil, fmt.Errorf("%s: %s: number %d is no age identity", f.Name, varIdentities, i+1)
		}
	}
	return identities, nil
}

// recipientsOfSite returns the public halves of identitiesOf.
func recipientsOfSite(f *File) ([]string, error) {
	identities, err := identitiesOf(f)
	if err != nil {
		return nil, err
	}
	return recipients(identities)
}

// siteRules lets the key of each site open what Flux decrypts there.
func (m *maker) siteRules() error {
	for _, site := range m.sites {
		if m.rules.covers(FluxFile(site.Name, meshCA)) != nil {
			continue
		}
		own, err := recipientsOfSite(m.vars[site.Name])
		if err != nil {
			return err
		}
		if len(m.rules.OfSite(site.Name)) == 0 {
			if err := m.rules.AddKey(sitePrefix+site.Name, own[0]); err != nil {
				return err
			}
		}
		m.rules.AddRule(fluxPattern(site.Name), ManifestFields, append(names(m.rules.Operators()), own...))
	}
	return m.saveRules()
}

// open reads and opens a file; nil when there is none.
func (m *maker) open(name string) (*File, error) {
	f, _, err := OpenFile(m.store, m.keys.Identities, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// authority gives all sites one mesh CA. It is made when no site has ever had
// one; a site without it gets that of the others.
func (m *maker) authority() error {
	var mesh []byte
	var have, lack []string
	found := ""
	for _, site := range m.sites {
		file := FluxFile(site.Name, meshCA)
		f, err := m.open(file)
		if err != nil {
			return err
		}
		if f == nil {
			lack = append(lack, site.Name)
			continue
		}
		have = append(have, site.Name)
		mark, err := fingerprint(f)
		if err != nil {
			return err
		}
		if found != "" && mark != found {
			return fmt.Errorf("%s and %s hold different mesh CAs: the sites cannot trust one another; archipel secret rotate --generated mesh-ca gives all sites the newest",
				FluxFile(have[0], meshCA), file)
		}
		if found = mark; mesh == nil {
			if mesh, err = f.Plain(); err != nil {
				return err
			}
		}
	}
	if len(lack) == 0 {
		return nil
	}
	if mesh == nil {
		for _, site := range lack {
			trace := ""
			if _, known := m.recorded(site)[varMeshCA]; known {
				trace = PublicFile(site) + " names the mesh CA of the fleet, which no site has any more"
			}
			if err := m.lost(FluxFile(site, meshCA), trace); err != nil && !m.mayMakeAuthority() {
				return err
			}
		}
		// A site that is no longer in the fleet may have had it.
		if err := m.lost(FluxFile("*", meshCA), ""); err != nil && !m.mayMakeAuthority() {
			return err
		}
		var err error
		if mesh, err = MeshAuthorityManifest(m.Now); err != nil {
			return err
		}
		m.Say(fmt.Sprintf("made the mesh CA, valid for %d years", AuthorityYears))
	}
	for _, site := range lack {
		if err := m.create(FluxFile(site, meshCA), mesh); err != nil {
			return err
		}
	}
	return nil
}

// mayMakeAuthority: the CA is one, so one of its files named is enough.
func (m *maker) mayMakeAuthority() bool {
	return slices.ContainsFunc(m.sites, func(s *fleet.Site) bool { return slices.Contains(m.Recreate, FluxFile(s.Name, meshCA)) })
}

// create writes a new file, encrypted as the rules say.
func (m *maker) create(name string, plain []byte) error {
	rule, err := m.rules.For(name)
	if err != nil {
		return err
	}
	f, err := NewFile(name, plain, rule)
	if err != nil {
		return err
	}
	if err := m.write(f, nil); err != nil {
		return err
	}
	m.Say("wrote " + name)
	return nil
}

// certificateOf returns the certificate of a Secret.
func certificateOf(f *File, path ...string) (*x509.Certificate, error) {
	text, err := f.Get(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("%s: %s is no certificate in PEM", f.Name, strings.Join(path, "/"))
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %s is no certificate", f.Name, strings.Join(path, "/"))
	}
	return certificate, nil
}

// fingerprint returns the SHA-256 of a mesh CA's certificate.
func fingerprint(f *File) (string, error) {
	certificate, err := certificateOf(f, "stringData", "ca.crt")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:]), nil
}

// git makes what Flux reads the repository with at each site.
func (m *maker) git() error {
	asked := map[string][2]string{}
	for _, site := range m.sites {
		file := FluxFile(site.Name, gitSecret)
		if _, err := m.store.Read(file); err == nil || !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return err
			}
			continue
		}
		trace := ""
		if _, known := m.recorded(site.Name)[varDeployKey]; known {
			trace = PublicFile(site.Name) + " names its public half"
		}
		if err := m.lost(file, trace); err != nil {
			return err
		}
		where, err := url.Parse(site.Facts.GitURL)
		if err != nil {
			return fmt.Errorf("git_url of %s is no URL", site.Name)
		}
		var manifest []byte
		if where.Scheme == "ssh" {
			manifest, err = m.deployKey(site.Name, where)
		} else {
			manifest, err = m.password(site.Facts.GitURL, asked)
		}
		if err != nil {
			return err
		}
		if manifest == nil {
			continue
		}
		if err := m.create(file, manifest); err != nil {
			return err
		}
	}
	return nil
}

func (m *maker) deployKey(site string, where *url.URL) ([]byte, error) {
	host := where.Hostname()
	if port := where.Port(); port != "" && port != "22" {
		host = "[" + host + "]:" + port
	}
	lines, err := m.KnownHosts(host)
	if err != nil {
		return nil, err
	}
	if lines == "" {
		m.Say(fmt.Sprintf("left out %s: the host key of %s is not known; run ssh-keyscan %s >FILE, compare FILE with what the host publishes, then archipel secret init --known-hosts FILE",
			FluxFile(site, gitSecret), host, where.Hostname()))
		return nil, nil
	}
	identity, public, err := NewDeployKey("flux@" + site)
	if err != nil {
		return nil, err
	}
	m.Say("register this deploy key of " + site + " at the Git server, for reading: " + strings.TrimSpace(public))
	return GitKeyManifest(identity, public, lines)
}

func (m *maker) password(url string, asked map[string][2]string) ([]byte, error) {
	answer, known := asked[url]
	if !known {
		user, password, ok, err := m.Password(url)
		if err != nil {
			return nil, err
		}
		if !ok {
			m.Say("left out the Git credentials of the sites (flux-system" + sealedYAML + "): " + url +
				" is read with a user and a password; archipel secret init --git-user NAME asks for the password")
			user, password = "", ""
		}
		answer = [2]string{user, password}
		asked[url] = answer
	}
	if answer[1] == "" {
		return nil, nil
	}
	return GitPasswordManifest(answer[0], answer[1])
}

// recorded reads a site's PublicFile.
func (m *maker) recorded(site string) map[string]any { return readPublic(m.store, site) }

func readPublic(s *Store, site string) map[string]any {
	var values map[string]any
	if data, err := s.Read(PublicFile(site)); err == nil {
		_ = yaml.Unmarshal(data, &values) // what is no YAML is a finding of the fleet
	}
	return values
}

// public writes the public halves, which peers and people need.
func (m *maker) public() error {
	for _, site := range m.sites {
		written, err := writePublic(m.store, m.keys.Identities, site.Name)
		if err != nil {
			return err
		}
		if written {
			m.Say("wrote " + PublicFile(site.Name))
		}
	}
	return nil
}

// publicOf computes a site's PublicFile from its secrets.
func publicOf(s *Store, keys *Identities, site string) ([]byte, error) {
	values := map[string]any{}
	vars, _, err := OpenFile(s, keys, AnsibleFile(site))
	if err != nil {
		return nil, err
	}
	peers := map[string]any{}
	for _, name := range vars.Names() {
		if node, ok := strings.CutPrefix(name, varWireGuard+"/"); ok {
			private, err := vars.Get([]string{varWireGuard, node})
			if err != nil {
				return nil, err
			}
			if peers[node], err = WireGuardPublic(private); err != nil {
				return nil, fmt.Errorf("%s: %s/%s: %w", vars.Name, varWireGuard, node, err)
			}
		}
	}
	if len(peers) > 0 {
		values[varWGPublic] = peers
	}
	if ca, _, err := OpenFile(s, keys, FluxFile(site, meshCA)); err == nil {
		if values[varMeshCA], err = fingerprint(ca); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if git, _, err := OpenFile(s, keys, FluxFile(site, gitSecret)); err == nil {
		if key, err := git.Get([]string{"stringData", "identity.pub"}); err == nil {
			values[varDeployKey] = strings.TrimSpace(key)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(values) == 0 {
		return nil, nil
	}
	text, err := yaml.Marshal(values)
	return append([]byte("# Public halves of this site's keys, written by `archipel secret`: do not edit.\n"), text...), err
}

func writePublic(s *Store, keys *Identities, site string) (bool, error) {
	text, err := publicOf(s, keys, site)
	if err != nil || text == nil {
		return false, err
	}
	before, err := s.Read(PublicFile(site))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if string(before) == string(text) {
		return false, nil
	}
	return true, s.Replace(PublicFile(site), before, text)
}
