package secret

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"archipel/internal/finding"
	"archipel/internal/fleet"
)

// Cluster is what a site's cluster knows of secrets. Tests and offline use do
// without.
type Cluster interface {
	// Identities returns the entries of Secret flux-system/sops-age and a mark of
	// its version; no entries and no error when it is not there.
	Identities(ctx context.Context) (entries map[string]string, version string, err error)
	// SetIdentities makes the Secret hold exactly these entries. It fails when the
	// Secret is no longer at version.
	SetIdentities(ctx context.Context, entries map[string]string, version string) error
	// Applied returns the Git revision that Kustomization flux-system/secrets has
	// applied, "" for none.
	Applied(ctx context.Context) (string, error)
}

// ClusterEntry is the entry of Secret flux-system/sops-age that archipel writes.
// kustomize-controller reads entries that end in .agekey, all lines of each
// (fluxcd/flux2#5154).
const ClusterEntry = "identity.agekey"

const agekeySuffix = ".agekey"

// Diagnosis is what Doctor found.
type Diagnosis struct {
	Identities []KeySource
	Entries    []Entry
	Findings   []finding.Finding
	Unseen     map[string]string // by site, why its cluster was not looked at
}

// expirySoon is when a certificate that expires becomes a warning.
const expirySoon = 90 * 24 * time.Hour

// Doctor compares files, rules, local identities and clusters.
func Doctor(ctx context.Context, s *Store, f *fleet.Fleet, keys *Keyring, open func(site string) (Cluster, error), now time.Time) (*Diagnosis, error) {
	entries, rules, err := List(s, keys.Identities)
	if err != nil {
		return nil, err
	}
	d := &doctor{Diagnosis: Diagnosis{Identities: keys.Sources, Entries: entries, Unseen: map[string]string{}}, store: s, keys: keys, rules: rules, now: now}
	d.local()
	for _, entry := range entries {
		d.entry(entry)
	}
	d.authorities()
	for _, site := range f.Sites {
		d.site(ctx, site, open)
	}
	d.Findings = finding.Dedup(d.Findings)
	return &d.Diagnosis, ctx.Err()
}

type doctor struct {
	Diagnosis
	store *Store
	keys  *Keyring
	rules *Rules
	now   time.Time
}

func (d *doctor) add(severity finding.Severity, rule, file, message, fix string) {
	f := finding.Finding{Rule: rule, Severity: severity, Position: finding.Position{File: file}, Message: message, Fix: fix, Secret: true}
	if site := SiteOf(file); site != "" {
		f.Sites = []string{site}
	}
	d.Findings = append(d.Findings, f)
}

// local looks at the user's own identities.
func (d *doctor) local() {
	for _, source := range d.keys.Sources {
		if source.File && source.Mode&0o077 != 0 {
			d.add(finding.Error, "identity-exposed", "", fmt.Sprintf("others may read your age identities in %s (mode %04o)", source.Place, source.Mode), "chmod 600 "+source.Place)
		}
	}
	switch operators := names(d.rules.Operators()); {
	case !d.rules.Exists():
		d.add(finding.Error, "rules-missing", RulesFile, "nothing says who can read which file", "archipel secret init")
	case d.keys.None():
		d.add(finding.Warning, "identity-missing", "", "you have no age identity where SOPS looks for one: nothing can be opened here", "archipel secret init makes one")
	case !d.keys.Opens(operators):
		d.add(finding.Warning, "identity-unknown", RulesFile, "your age identity is none of the operators'", "let an operator run: archipel secret recipients add NAME "+d.keys.Recipients()[0])
	}
}

// entry looks at one file.
func (d *doctor) entry(e Entry) {
	err := e.err
	switch {
	case errors.Is(err, ErrNotEncrypted):
		d.add(finding.Error, "secret-plain", e.File, "SOPS has not encrypted this file", "archipel secret encrypt "+e.File+", and replace its values if they were ever pushed")
		return
	case errors.Is(err, ErrUnreadable):
		d.add(finding.Error, "secret-unreadable", e.File, "this is no SOPS file: it is cut off, or no longer in its format", "git checkout -- "+e.File)
		return
	case errors.Is(err, ErrAltered):
		d.add(finding.Error, "secret-altered", e.File, "the checksum (MAC) does not match: somebody edited the file without SOPS", "git log -p -- "+e.File+" shows the edit; take it back, and use archipel secret edit")
	case errors.Is(err, ErrDamaged):
		d.add(finding.Error, "secret-damaged", e.File, "a value was damaged after it was encrypted, or moved from elsewhere", "git log -p -- "+e.File+" shows the edit; take it back")
	case errors.Is(err, ErrNoIdentity) && d.keys.Opens(e.file.Recipients()):
		d.add(finding.Error, "secret-damaged", e.File, "your identity is among its recipients and does not open it: its data key is damaged", "git checkout -- "+e.File)
	case errors.Is(err, ErrNoIdentity) && !d.keys.None():
		d.add(finding.Warning, "secret-locked", e.File, "none of your identities opens this file", "let one of its readers run: archipel secret rotate --recipients")
	case err != nil && !errors.Is(err, ErrNoIdentity):
		d.add(finding.Error, "secret-unreadable", e.File, e.Problem, "")
		return
	}
	for _, reader := range e.Readers {
		if site := reader.SiteOf(); site != "" && e.Site != "" && site != e.Site {
			d.add(finding.Error, "secret-foreign", e.File, fmt.Sprintf("this file of %s is encrypted for the key of %s", e.Site, site), "archipel secret rotate --recipients, then --data-keys; change its values if "+site+" must not know them")
		}
	}
	d.expiry(e)
	if !d.rules.Exists() {
		return
	}
	rule, err := d.rules.For(e.File)
	if err != nil {
		d.add(finding.Error, "rule-missing", e.File, err.Error(), "archipel secret init adds the rules of a site; others are yours to add")
		return
	}
	if want, have := rule.Recipients(), e.file.Recipients(); !sameSet(want, have) {
		d.add(finding.Error, "recipients-stale", e.File, "its recipients are not those of "+RulesFile+": "+d.difference(have, want), "archipel secret rotate --recipients")
	}
	if !rule.Follows(e.file) {
		d.add(finding.Error, "rule-stale", e.File, "it does not encrypt the fields that "+RulesFile+" asks for", "archipel secret rotate --data-keys")
	}
}

func (d *doctor) difference(have, want []string) string {
	var parts []string
	for _, recipient := range want {
		if !slices.Contains(have, recipient) {
			parts = append(parts, d.rules.Name(recipient).Label()+" is missing")
		}
	}
	for _, recipient := range have {
		if !slices.Contains(want, recipient) {
			parts = append(parts, d.rules.Name(recipient).Label()+" is too many")
		}
	}
	return strings.Join(parts, ", ")
}

func (d *doctor) expiry(e Entry) {
	if e.Expires.IsZero() {
		return
	}
	left := e.Expires.Sub(d.now)
	fix := "replace the certificate"
	if strings.HasSuffix(e.File, "/"+meshCA+sealedYAML) {
		fix = "archipel secret rotate --generated mesh-ca"
	}
	if left <= 0 {
		d.add(finding.Error, "certificate-expired", e.File, "a certificate in it expired on "+e.Expires.Format(time.DateOnly), fix)
	} else if left < expirySoon {
		d.add(finding.Warning, "certificate-expiring", e.File, fmt.Sprintf("a certificate in it expires on %s, in %d days", e.Expires.Format(time.DateOnly), int(left.Hours()/24)), fix)
	}
}

// authorities compares the mesh CAs of all sites.
func (d *doctor) authorities() {
	first, found := "", ""
	for _, e := range d.Entries {
		if !e.Opens || e.File != FluxFile(e.Site, meshCA) {
			continue
		}
		sum, err := fingerprint(e.file)
		switch {
		case err != nil:
			d.add(finding.Error, "ca-invalid", e.File, "it holds no certificate of a CA in stringData/ca.crt", "git checkout -- "+e.File)
		case first == "":
			first, found = e.File, sum
		case sum != found:
			d.add(finding.Error, "ca-different", e.File, "its mesh CA is another than in "+first+": the sites do not trust one another", "archipel secret rotate --generated mesh-ca gives all sites the newest")
		}
	}
}

// site looks for what is missing at a site, and at its cluster.
func (d *doctor) site(ctx context.Context, site *fleet.Site, open func(string) (Cluster, error)) {
	for _, file := range []string{AnsibleFile(site.Name), FluxFile(site.Name, meshCA), FluxFile(site.Name, gitSecret)} {
		if _, err := d.store.Read(file); errors.Is(err, fs.ErrNotExist) {
			d.add(finding.Error, "secret-missing", file, "the site lacks this file", "archipel secret init")
		}
	}
	var own []string
	if vars, _, err := OpenFile(d.store, d.keys.Identities, AnsibleFile(site.Name)); err == nil {
		if identities, err := identitiesOf(vars); err != nil {
			d.add(finding.Error, "identity-invalid", AnsibleFile(site.Name), strings.TrimPrefix(err.Error(), vars.Name+": "), "git log -p -- "+AnsibleFile(site.Name))
		} else {
			own = identities
		}
		if len(own) > 1 {
			d.add(finding.Warning, "rotation-unfinished", AnsibleFile(site.Name), "the key of the site is being replaced: it has two", "archipel secret rotate --generated sops-age "+site.Name)
		}
		for _, name := range []string{varServerToken, varAgentToken} {
			if lookUp(vars.tree.Branches[0], []string{name + suffixPrevious}) != nil {
				d.add(finding.Warning, "rotation-unfinished", AnsibleFile(site.Name), name+" is being replaced: the one before is still there",
					"archipel secret rotate --generated "+strings.ReplaceAll(name, "_", "-")+" "+site.Name+" --switched, once the site uses the new one")
			}
		}
		if text, err := publicOf(d.store, d.keys.Identities, site.Name); err == nil && text != nil {
			if now, _ := d.store.Read(PublicFile(site.Name)); string(now) != string(text) {
				d.add(finding.Error, "public-stale", PublicFile(site.Name), "it does not hold the public halves of the site's keys", "archipel secret init")
			}
		}
	}
	if open == nil {
		return
	}
	cluster, err := open(site.Name)
	if err != nil {
		d.Unseen[site.Name] = err.Error()
		return
	}
	entries, _, err := cluster.Identities(ctx)
	if err != nil {
		d.Unseen[site.Name] = err.Error()
		return
	}
	d.cluster(site.Name, entries, own)
}

// cluster compares the identities in a cluster with those in Git.
func (d *doctor) cluster(site string, entries map[string]string, own []string) {
	add := func(rule, message, fix string) {
		d.Findings = append(d.Findings, finding.Finding{Rule: rule, Severity: finding.Error, Message: site + ": " + message, Fix: fix, Sites: []string{site}})
	}
	if len(entries) == 0 {
		add("cluster-identity-missing", "the cluster has no Secret flux-system/sops-age: Flux decrypts nothing", "bootstrap the site")
		return
	}
	var read []string
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if !strings.HasSuffix(name, agekeySuffix) {
			add("agekey-name", fmt.Sprintf("entry %q of Secret flux-system/sops-age does not end in .agekey: Flux does not read it", name), "name it "+ClusterEntry)
			continue
		}
		identities, err := ParseIdentities(entries[name])
		if err != nil {
			add("cluster-identity-invalid", fmt.Sprintf("entry %q of Secret flux-system/sops-age holds a line that is no age identity", name), "bootstrap the site")
			continue
		}
		read = append(read, identities.Recipients()...)
	}
	rule, err := d.rules.For(FluxFile(site, meshCA))
	if err == nil && !slices.ContainsFunc(read, func(r string) bool { return slices.Contains(rule.Recipients(), r) }) {
		add("cluster-identity-foreign", "no identity in the cluster opens what "+RulesFile+" encrypts for the site", "put the site's identity into Secret flux-system/sops-age: bootstrap the site")
	}
	if own == nil {
		return // not to be known without the site's file
	}
	want, err := recipients(own)
	if err == nil && !sameSet(want, read) {
		add("cluster-identity-stale", fmt.Sprintf("Secret flux-system/sops-age holds %d identities, and %s holds %d: they are not the same", len(read), AnsibleFile(site), len(want)), "archipel secret rotate --generated sops-age goes on with a rotation; bootstrap puts Git's into the cluster")
	}
}

func recipients(identities []string) ([]string, error) {
	parsed, err := ParseIdentities(identities...)
	if err != nil {
		return nil, err
	}
	return parsed.Recipients(), nil
}
