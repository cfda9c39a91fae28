package secret

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"archipel/internal/fleet"
)

// What can be replaced by a newly generated value.
const (
	generatedMeshCA      = "mesh-ca"
	generatedServerToken = "k3s-server-token"
	generatedAgentToken  = "k3s-agent-token"
	generatedWireGuard   = "wireguard"
	generatedDeployKey   = "deploy-key"
	generatedIdentity    = "sops-age"
)

// Generated lists what Rotator.Generated replaces.
func Generated() []string {
	return []string{generatedMeshCA, generatedServerToken, generatedAgentToken, generatedWireGuard, generatedDeployKey, generatedIdentity}
}

// StepState says how far a step of a rotation is.
type StepState string

// The states.
const (
	StepDone StepState = "done"
	StepNow  StepState = "now"   // this run does it
	StepWait StepState = "waits" // for what the note says
)

// Step is one step of a rotation. What is done is read from the files and the
// cluster each time, so that a rotation goes on wherever it was left.
type Step struct {
	Title string
	State StepState
	Note  string // what a waiting step waits for
	run   func() error
}

// Run does the step.
func (s Step) Run() error {
	if s.run == nil {
		return nil
	}
	return s.run()
}

// Rotator replaces keys and values.
type Rotator struct {
	Store *Store
	Keys  *Keyring
	Now   time.Time
	// Open returns the cluster of a site.
	Open func(site string) (Cluster, error)
	// FileAt returns a file of the repository at a Git revision, as Flux writes it.
	FileAt func(revision, file string) ([]byte, error)
	// Switched is the user's word that what a step waits for has happened.
	Switched bool
	// Say reports what was done beyond the steps.
	Say func(text string)
}

// Recipients encrypts the data keys of files for the recipients of their rules.
// A file that loses a reader gets a new data key.
func (r *Rotator) Recipients(sites []*fleet.Site) ([]Step, error) {
	rules, err := LoadRules(r.Store)
	if err != nil {
		return nil, err
	}
	return r.each(sites, func(f *File) (string, func() error, error) {
		rule, err := rules.For(f.Name)
		if err != nil {
			return "", nil, err
		}
		if sameSet(rule.Recipients(), f.Recipients()) && rule.Follows(f) {
			return "", nil, nil
		}
		return "encrypt " + f.Name + " for its recipients", func() error { return r.align(f.Name, rule) }, nil
	})
}

// DataKeys gives files new data keys, and so encrypts all values anew.
func (r *Rotator) DataKeys(sites []*fleet.Site) ([]Step, error) {
	rules, err := LoadRules(r.Store)
	if err != nil {
		return nil, err
	}
	return r.each(sites, func(f *File) (string, func() error, error) {
		rule, err := rules.For(f.Name)
		if err != nil {
			return "", nil, err
		}
		return "encrypt " + f.Name + " with a new data key", func() error { return r.renew(f.Name, rule) }, nil
	})
}

// each plans a step for the files of sites; no sites means all files.
func (r *Rotator) each(sites []*fleet.Site, plan func(*File) (string, func() error, error)) ([]Step, error) {
	files, err := r.Store.Files()
	if err != nil {
		return nil, err
	}
	var steps []Step
	for _, name := range files {
		if len(sites) > 0 && !slices.ContainsFunc(sites, func(s *fleet.Site) bool { return s.Name == SiteOf(name) }) {
			continue
		}
		data, err := r.Store.Read(name)
		if err != nil {
			return nil, err
		}
		f, err := ParseFile(name, data)
		if err != nil {
			return nil, err
		}
		title, run, err := plan(f)
		if err != nil {
			return nil, err
		}
		if run != nil {
			steps = append(steps, Step{Title: title, State: StepNow, run: run})
		}
	}
	return steps, nil
}

// align makes a file follow its rule with as little change as that takes.
func (r *Rotator) align(name string, rule Rule) error {
	before, err := r.Store.Read(name)
	if err != nil {
		return err
	}
	f, err := ParseFile(name, before)
	if err != nil {
		return err
	}
	lost := slices.ContainsFunc(f.Recipients(), func(have string) bool { return !slices.Contains(rule.Recipients(), have) })
	if lost || !rule.Follows(f) {
		return r.renew(name, rule)
	}
	shared, err := f.Share(r.Keys.Identities, rule)
	if err != nil {
		return err
	}
	return r.Store.Replace(name, before, shared)
}

// renew encrypts a file anew as its rule says.
func (r *Rotator) renew(name string, rule Rule) error {
	f, before, err := OpenFile(r.Store, r.Keys.Identities, name)
	if err != nil {
		return err
	}
	f.Follow(rule)
	if err := f.NewDataKey(); err != nil {
		return err
	}
	return WriteFile(r.Store, r.Keys.Identities, f, before)
}

// change opens a file, changes it and writes it.
func (r *Rotator) change(name string, change func(*File) error) error {
	f, before, err := OpenFile(r.Store, r.Keys.Identities, name)
	if err != nil {
		return err
	}
	if err := change(f); err != nil {
		return err
	}
	return WriteFile(r.Store, r.Keys.Identities, f, before)
}

func (r *Rotator) public(site string) error {
	_, err := writePublic(r.Store, r.Keys.Identities, site)
	return err
}

// Generated plans the replacement of a generated value at sites.
func (r *Rotator) Generated(ctx context.Context, name string, f *fleet.Fleet, sites []*fleet.Site) ([]Step, error) {
	plans := map[string]func(context.Context, *fleet.Site) ([]Step, error){
		generatedServerToken: r.token(varServerToken), generatedAgentToken: r.token(varAgentToken),
		generatedWireGuard: r.wireGuard, generatedDeployKey: r.deployKey, generatedIdentity: r.identity,
	}
	if name == generatedMeshCA {
		return r.authority(f.Sites)
	}
	plan, ok := plans[name]
	if !ok {
		return nil, fmt.Errorf("unknown value %q: there are %s", name, strings.Join(Generated(), ", "))
	}
	var all []Step
	for _, site := range sites {
		steps, err := plan(ctx, site)
		if err != nil {
			return nil, err
		}
		for _, step := range steps {
			step.Title = site.Name + ": " + step.Title
			all = append(all, step)
		}
	}
	return all, nil
}

const commit = "commit and push what has changed"

// token replaces a token of k3s. The one before stays beside it until the site
// has switched: the servers accept no other, and a snapshot of etcd is restored
// with the token of its time only (k3s-io/k3s#13085).
func (r *Rotator) token(name string) func(context.Context, *fleet.Site) ([]Step, error) {
	return func(_ context.Context, site *fleet.Site) ([]Step, error) {
		file := AnsibleFile(site.Name)
		f, _, err := OpenFile(r.Store, r.Keys.Identities, file)
		if err != nil {
			return nil, err
		}
		under := lookUp(f.tree.Branches[0], []string{name + suffixPrevious}) != nil
		create := Step{Title: "make a new token, and keep the one before as " + name + suffixPrevious, State: StepNow, run: func() error {
			return r.change(file, func(f *File) error {
				old, err := f.Get([]string{name})
				if err != nil {
					return err
				}
				if _, err := f.Set([]string{name + suffixPrevious}, old); err != nil {
					return err
				}
				_, err = f.Set([]string{name}, NewToken())
				return err
			})
		}}
		drop := Step{Title: "remove the token before", State: StepWait, run: func() error {
			return r.change(file, func(f *File) error { f.Remove(name + suffixPrevious); return nil })
		}, Note: commit + "; switch the site to the new token (k3s token rotate for servers, the bootstrap for all nodes); take a snapshot, since older ones need the token before; then run this again with --switched"}
		if under {
			create.State = StepDone
			if r.Switched {
				drop.State = StepNow
			}
		}
		return []Step{create, drop}, nil
	}
}

// wireGuard replaces the keys of a site's gateways. An interface has one key at a
// time, so both ends change together.
func (r *Rotator) wireGuard(_ context.Context, site *fleet.Site) ([]Step, error) {
	if len(site.Gateways) == 0 || site.Facts.Interconnect != "wireguard" {
		return nil, fmt.Errorf("%s has no WireGuard link: its interconnect is %s", site.Name, site.Facts.Interconnect)
	}
	return []Step{{Title: "make new keys for " + strings.Join(site.Gateways, ", "), State: StepNow, run: func() error {
		err := r.change(AnsibleFile(site.Name), func(f *File) error {
			for _, node := range site.Gateways {
				if _, err := f.Set([]string{varWireGuard, node}, NewWireGuardKey()); err != nil {
					return err
				}
			}
			return nil
		})
		return errors.Join(err, r.public(site.Name))
	}}, {Title: "bring them to the gateways of all sites", State: StepWait,
		Note: commit + "; bootstrap all sites at once: the link is down from the first end that changes to the last"}}, nil
}

// The new half of a deploy key waits in the Secret until the Git server knows it.
const suffixNext = ".next"

// deployKey replaces the key with which Flux reads the repository. The Git server
// must know the new one before Flux uses it, or Flux reads nothing any more.
func (r *Rotator) deployKey(_ context.Context, site *fleet.Site) ([]Step, error) {
	file := FluxFile(site.Name, gitSecret)
	f, _, err := OpenFile(r.Store, r.Keys.Identities, file)
	if err != nil {
		return nil, err
	}
	at := func(name string) []string { return []string{"stringData", name} }
	if _, err := f.Get(at("identity")); err != nil {
		return nil, fmt.Errorf("%s reads Git with a password, not with a key: make one at the Git server, then archipel secret set %s stringData/password", site.Name, file)
	}
	public, err := f.Get(at("identity.pub" + suffixNext))
	under := err == nil
	note := "register the new key at the Git server, for reading; then run this again with --switched"
	if under {
		note = "register the new key at the Git server, for reading: " + strings.TrimSpace(public) + "; then run this again with --switched"
	}
	create := Step{Title: "make a new key", State: StepNow, run: func() error {
		identity, public, err := NewDeployKey("flux@" + site.Name)
		if err != nil {
			return err
		}
		err = r.change(file, func(f *File) error {
			_, err := f.Set(at("identity"+suffixNext), identity)
			_, err2 := f.Set(at("identity.pub"+suffixNext), public)
			return errors.Join(err, err2)
		})
		if err == nil {
			r.Say("the new deploy key of " + site.Name + ": " + strings.TrimSpace(public))
		}
		return err
	}}
	use := Step{Title: "let Flux use it", State: StepWait, Note: note, run: func() error {
		err := r.change(file, func(f *File) error {
			for _, name := range []string{"identity", "identity.pub"} {
				next, err := f.Get(at(name + suffixNext))
				if err != nil {
					return err
				}
				if _, err := f.Set(at(name), next); err != nil {
					return err
				}
				f.Remove(at(name + suffixNext)...)
			}
			return nil
		})
		return errors.Join(err, r.public(site.Name))
	}}
	if under {
		create.State = StepDone
		if r.Switched {
			use.State = StepNow
		}
	}
	return []Step{create, use, {Title: "forget the key before", State: StepWait,
		Note: commit + "; once Flux has fetched that commit, remove the key before at the Git server"}}, nil
}

// authority gives all sites a new mesh CA. Sites that differ are taken for a
// rotation that was interrupted: all get the newest.
func (r *Rotator) authority(sites []*fleet.Site) ([]Step, error) {
	var newest []byte
	var since time.Time
	prints := map[string]string{}
	for _, site := range sites {
		f, _, err := OpenFile(r.Store, r.Keys.Identities, FluxFile(site.Name, meshCA))
		if err != nil {
			return nil, err
		}
		certificate, err := certificateOf(f, "stringData", "ca.crt")
		if err != nil {
			return nil, err
		}
		if prints[site.Name], err = fingerprint(f); err != nil {
			return nil, err
		}
		if certificate.NotBefore.After(since) {
			since = certificate.NotBefore
			if newest, err = f.Plain(); err != nil {
				return nil, err
			}
		}
	}
	title := "give %s the new mesh CA"
	if len(slices.Compact(slices.Sorted(maps.Values(prints)))) > 1 {
		title = "give %s the newest mesh CA, which some sites have already"
	} else {
		var err error
		if newest, err = MeshAuthorityManifest(r.Now); err != nil {
			return nil, err
		}
	}
	var steps []Step
	for _, site := range sites {
		steps = append(steps, Step{Title: fmt.Sprintf(title, site.Name), State: StepNow, run: func() error {
			err := r.change(FluxFile(site.Name, meshCA), func(f *File) error { return f.SetPlain(newest) })
			return errors.Join(err, r.public(site.Name))
		}})
	}
	return append(steps, Step{Title: "let Cilium issue its certificates anew", State: StepWait,
		Note: commit + "; Cilium's certificate jobs then run at each site, and sites trust one another again once all have run"}), nil
}

// identity replaces the age key of a site, with which Flux decrypts there. At
// every moment what is in Git can be opened with what is in the cluster.
func (r *Rotator) identity(ctx context.Context, site *fleet.Site) ([]Step, error) {
	file := AnsibleFile(site.Name)
	vars, _, err := OpenFile(r.Store, r.Keys.Identities, file)
	if err != nil {
		return nil, err
	}
	own, err := identitiesOf(vars)
	if err != nil {
		return nil, err
	}
	if len(own) > 2 {
		return nil, fmt.Errorf("%s: %s holds %d identities, more than the new and the old: remove those that are not in use", file, varIdentities, len(own))
	}
	halves, err := recipientsOfSite(vars)
	if err != nil {
		return nil, err
	}
	s := &identityRotation{Rotator: r, site: site.Name, file: file, under: len(own) == 2}
	if s.under {
		s.newIdentity, s.oldIdentity, s.newHalf, s.oldHalf = own[0], own[1], halves[0], halves[1]
	} else {
		s.oldIdentity, s.oldHalf = own[0], halves[0]
	}
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	return s.steps(ctx), nil
}

// identityRotation is the state of identity at one site.
type identityRotation struct {
	*Rotator
	site, file               string
	under                    bool // the new identity is there
	newIdentity, oldIdentity string
	newHalf, oldHalf         string

	files       []string // what the site's key opens
	both, alone bool     // all of them are for the new key; and for the old one no more
	allowed     bool     // the rules name the new key
	revoked     bool     // and the old one no more
	cluster     Cluster
	unseen      string // why there is no cluster
	inCluster   bool   // the cluster has the new identity
}

// look reads the state from the files and from the cluster.
func (s *identityRotation) look(ctx context.Context) error {
	rules, err := LoadRules(s.Store)
	if err != nil {
		return err
	}
	rule, err := rules.For(FluxFile(s.site, meshCA))
	if err != nil {
		return err
	}
	s.allowed = s.under && slices.Contains(rule.Recipients(), s.newHalf)
	s.revoked = s.allowed && !slices.Contains(rule.Recipients(), s.oldHalf)
	all, err := s.Store.Files()
	if err != nil {
		return err
	}
	s.both, s.alone = s.under, s.under
	for _, name := range all {
		if SiteOf(name) != s.site || !strings.HasPrefix(name, clusters) {
			continue
		}
		data, err := s.Store.Read(name)
		if err != nil {
			return err
		}
		f, err := ParseFile(name, data)
		if err != nil {
			return err
		}
		s.files = append(s.files, name)
		s.both = s.both && slices.Contains(f.Recipients(), s.newHalf)
		s.alone = s.alone && s.both && !slices.Contains(f.Recipients(), s.oldHalf)
	}
	if s.Open == nil {
		s.unseen = "no cluster was looked for"
		return nil
	}
	cluster, err := s.Open(s.site)
	if err == nil {
		var entries map[string]string
		entries, _, err = cluster.Identities(ctx)
		s.inCluster = s.under && slices.Contains(slices.Concat(slices.Collect(lines(entries))...), s.newIdentity)
	}
	if err != nil {
		s.unseen = err.Error()
		return nil //nolint:nilerr // a rotation goes on without the cluster, and says why
	}
	s.cluster = cluster
	return nil
}

// lines returns the identities of each entry of a Secret that Flux reads.
func lines(entries map[string]string) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			if strings.HasSuffix(name, agekeySuffix) && !yield(identityLines(entries[name])) {
				return
			}
		}
	}
}

func identityLines(text string) []string {
	var found []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			found = append(found, line)
		}
	}
	return found
}

func (s *identityRotation) steps(ctx context.Context) []Step {
	now := func(done bool) StepState {
		if done {
			return StepDone
		}
		return StepNow
	}
	deliver := Step{Title: "put both identities into Secret flux-system/sops-age", State: now(s.inCluster), run: func() error { return s.put(ctx, s.newIdentity, s.oldIdentity) }}
	if s.cluster == nil && !s.revoked {
		deliver.State, deliver.Note = StepWait, "the cluster cannot be reached ("+s.unseen+"): "+commit+", bootstrap the site, which puts both into the Secret, then run this again with --switched"
		if s.under && s.both && s.Switched {
			deliver.State = StepDone
		}
	}
	if s.revoked {
		deliver.State = StepDone
	}
	revoke := Step{Title: "take the old key out of " + RulesFile, State: now(s.revoked), run: s.revoke}
	alone := Step{Title: fmt.Sprintf("encrypt %s with new data keys, for the new key", plural(len(s.files), "file")), State: now(s.revoked && s.alone), run: func() error { return s.alignAll() }}
	if deliver.State == StepWait {
		revoke.State, alone.State = StepWait, StepWait
	}
	forget := Step{Title: "remove the old identity from the Secret and from " + s.file, State: StepWait, Note: commit + "; run this again once Flux has applied it", run: func() error { return s.forget(ctx) }}
	if s.revoked && s.alone {
		if why := s.notApplied(ctx); why == "" {
			forget.State = StepNow
		} else {
			forget.Note = why
		}
	}
	return []Step{
		{Title: "make a new identity beside the old one in " + s.file, State: now(s.under), run: s.make},
		{Title: "let it read, in " + RulesFile, State: now(s.allowed), run: s.allow},
		{Title: fmt.Sprintf("encrypt %s for both keys", plural(len(s.files), "file")), State: now(s.both), run: s.alignAll},
		deliver, revoke, alone, forget,
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (s *identityRotation) make() error {
	identity, recipient, err := NewIdentity()
	if err != nil {
		return err
	}
	s.newIdentity, s.newHalf = identity, recipient
	return s.change(s.file, func(f *File) error {
		_, err := f.Set([]string{varIdentities}, []any{s.newIdentity, s.oldIdentity})
		return err
	})
}

// editRules changes the rules and saves them.
func (s *identityRotation) editRules(edit func(*Rules) error) error {
	rules, err := LoadRules(s.Store)
	if err != nil {
		return err
	}
	if err := edit(rules); err != nil {
		return err
	}
	_, err = rules.Save(s.Store)
	return err
}

func (s *identityRotation) allow() error {
	return s.editRules(func(rules *Rules) error {
		if err := rules.AddKey(sitePrefix+s.site+"_new", s.newHalf); err != nil {
			return err
		}
		return rules.Let(FluxFile(s.site, meshCA), s.newHalf)
	})
}

func (s *identityRotation) revoke() error {
	return s.editRules(func(rules *Rules) error {
		if err := rules.Drop(s.oldHalf); err != nil {
			return err
		}
		rules.Rename(s.newHalf, sitePrefix+s.site)
		return nil
	})
}

func (s *identityRotation) alignAll() error {
	rules, err := LoadRules(s.Store)
	if err != nil {
		return err
	}
	for _, name := range s.files {
		rule, err := rules.For(name)
		if err != nil {
			return err
		}
		data, err := s.Store.Read(name)
		if err != nil {
			return err
		}
		if f, err := ParseFile(name, data); err == nil && sameSet(f.Recipients(), rule.Recipients()) {
			continue
		}
		if err := s.align(name, rule); err != nil {
			return err
		}
	}
	return nil
}

// put makes the cluster's Secret hold these identities, and those that archipel
// does not know of, which somebody may have put there for a reason.
func (s *identityRotation) put(ctx context.Context, identities ...string) error {
	entries, version, err := s.cluster.Identities(ctx)
	if err != nil {
		return err
	}
	for group := range lines(entries) {
		for _, line := range group {
			if line != s.oldIdentity && line != s.newIdentity && !slices.Contains(identities, line) {
				identities = append(identities, line)
			}
		}
	}
	return s.cluster.SetIdentities(ctx, map[string]string{ClusterEntry: strings.Join(identities, "\n") + "\n"}, version)
}

// notApplied says why the old identity is still in use; "" when it is not.
func (s *identityRotation) notApplied(ctx context.Context) string {
	if s.Switched {
		return ""
	}
	if s.cluster == nil {
		return "the cluster cannot be reached (" + s.unseen + "): " + commit + "; once Flux has applied it, run this again with --switched"
	}
	revision, err := s.cluster.Applied(ctx)
	if err != nil {
		return "it is not known what Flux has applied (" + err.Error() + "): run this again later"
	}
	for _, name := range s.files {
		applied, err := s.FileAt(revision, name)
		if err != nil {
			return fmt.Sprintf("%s; run this again once Flux has applied it, it is at %s", commit, revision)
		}
		f, err := ParseFile(name, applied)
		if err != nil || slices.Contains(f.Recipients(), s.oldHalf) {
			return fmt.Sprintf("%s; run this again once Flux has applied it, it is at %s", commit, revision)
		}
	}
	return ""
}

// forget removes the old identity: first where it is used, then where it is kept.
func (s *identityRotation) forget(ctx context.Context) error {
	if s.cluster != nil {
		if err := s.put(ctx, s.newIdentity); err != nil {
			return err
		}
	}
	return s.change(s.file, func(f *File) error {
		_, err := f.Set([]string{varIdentities}, []any{s.newIdentity})
		return err
	})
}
