package fleet

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
)

// fact describes one fact: the only place that says its name, type and bounds.
// Decoding and the JSON Schema follow from it.
type fact struct {
	name        string
	description string           // one sentence, for editors
	example     string           // a valid value, as YAML
	field       func(*Facts) any // pointer to the field, whose type is the fact's type
	shared      bool             // normally stated once, in fleet.yml
	optional    bool
	absent      string         // what an optional fact is by default, in words
	pattern     *regexp.Regexp // of a text
	form        string         // what pattern asks for, in words
	choices     []string       // of a text that has no pattern
	numbers     []bounds       // of a number
	rule        string         // of a text that does not match; "fact-invalid" by default
	private     bool           // the value may hold a secret when it is wrong
}

// bounds are the first and the last number allowed.
type bounds struct{ first, last int }

// Patterns of the facts' values. Numbers have no leading zeros.
const (
	number0    = `(0|[1-9][0-9]*)`
	octet      = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	ipv4       = `(` + octet + `\.){3}` + octet
	ipv4CIDR   = ipv4 + `/(3[0-2]|[12]?[0-9])`
	ipv4Range  = `(` + ipv4 + ` *- *` + ipv4 + `|` + ipv4CIDR + `)`
	release    = number0 + `\.` + number0 + `\.` + number0
	hostOfURL  = `(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)(:[0-9]{1,5})?`
	gitURL     = `(https://` + hostOfURL + `|ssh://([A-Za-z0-9_][A-Za-z0-9_.-]*@)?` + hostOfURL + `)/[^ ?#\\]+`
	gitBranch  = `[A-Za-z0-9_]([A-Za-z0-9_./+-]*[A-Za-z0-9_+-])?`
	linkOfHost = `[A-Za-z0-9][A-Za-z0-9_.-]{0,14}` // IFNAMSIZ of Linux, less the final NUL
)

// facts returns the table of all facts, in the order in which documents list them.
func facts() []fact {
	exactly := func(pattern string) *regexp.Regexp { return regexp.MustCompile(`^` + pattern + `$`) }
	return []fact{
		{
			name: "git_url", description: "Where Flux pulls this repository from.", example: "https://git.example.org/fleet.git",
			field: func(f *Facts) any { return &f.GitURL }, shared: true, private: true,
			pattern: exactly(gitURL), form: "an https:// or ssh:// URL with a path", rule: "git-url-invalid",
		},
		{
			name: "git_branch", description: "The branch that Flux follows.", example: "main",
			field: func(f *Facts) any { return &f.GitBranch }, shared: true,
			pattern: exactly(gitBranch), form: "the name of a Git branch",
		},
		{
			name: "k3s_version", description: "The release of k3s on all nodes, exact.", example: "v1.36.4+k3s1",
			field: func(f *Facts) any { return &f.K3sVersion }, shared: true,
			pattern: exactly(`v` + release + `\+k3s[1-9][0-9]*`), form: "an exact release vX.Y.Z+k3sN", rule: "version-inexact",
		},
		{
			name: "flux_version", description: "The release of Flux, exact.", example: "v2.9.5",
			field: func(f *Facts) any { return &f.FluxVersion }, shared: true,
			pattern: exactly(`v` + release), form: "an exact release vX.Y.Z", rule: "version-inexact",
		},
		{
			name: "cilium_version", description: "The version of Cilium's chart, exact.", example: "1.20.2",
			field: func(f *Facts) any { return &f.CiliumVersion }, shared: true,
			pattern: exactly(release), form: "an exact chart version X.Y.Z", rule: "version-inexact",
		},
		{
			name: "metallb_version", description: "The version of MetalLB's chart, exact.", example: "0.16.2",
			field: func(f *Facts) any { return &f.MetalLBVersion }, shared: true,
			pattern: exactly(release), form: "an exact chart version X.Y.Z", rule: "version-inexact",
		},
		{
			name: "native_routing_cidr", description: "One network that holds the pod networks of all sites, and no node or service network.", example: "10.64.0.0/10",
			field: func(f *Facts) any { return &f.NativeRoutingCIDR }, shared: true,
		},
		{
			name: "interconnect", description: "How sites reach one another: wireguard (gateways build a tunnel) or none (routed already).", example: "wireguard",
			field: func(f *Facts) any { return &f.Interconnect }, shared: true,
			choices: []string{"wireguard", "none"}, rule: "interconnect-unknown",
		},
		{
			name: "node_interface", description: "The network interface that carries the node's address, on all nodes.", example: "enp1s0",
			field: func(f *Facts) any { return &f.NodeInterface }, shared: true,
			pattern: exactly(linkOfHost), form: "the name of a network interface",
		},
		{
			name: "mesh_max_clusters", description: "How many sites the mesh can hold: 255 or 511. The same on all sites, and fixed once Cilium runs.", example: "255",
			field: func(f *Facts) any { return &f.MeshMaxClusters }, shared: true,
			numbers: []bounds{{255, 255}, {511, 511}},
		},
		{
			name: "cluster_id", description: "The site's number in the mesh, unique in the fleet. Changing it restarts every workload.", example: "1",
			field:   func(f *Facts) any { return &f.ClusterID },
			numbers: []bounds{{1, 511}},
		},
		{
			name: "node_cidr", description: "The network of the site's nodes.", example: "198.51.100.0/24",
			field: func(f *Facts) any { return &f.NodeCIDR },
		},
		{
			name: "pod_cidr", description: "The network of the site's pods.", example: "10.64.0.0/16",
			field: func(f *Facts) any { return &f.PodCIDR },
		},
		{
			name: "service_cidr", description: "The network of the site's services.", example: "10.128.0.0/16",
			field: func(f *Facts) any { return &f.ServiceCIDR },
		},
		{
			name: "load_balancer_ranges", description: "The addresses that MetalLB gives to services: inside node_cidr, apart from the nodes.", example: "[198.51.100.200-198.51.100.239]",
			field: func(f *Facts) any { return &f.LoadBalancerRanges },
		},
		{
			name: "mesh_api_address", description: "The address of the site's mesh API server, one of load_balancer_ranges.", example: "198.51.100.200",
			field: func(f *Facts) any { return &f.MeshAPIAddress },
		},
		{
			name: "cluster_dns", description: "The address of the site's DNS service, inside service_cidr.", example: "10.128.0.10",
			field: func(f *Facts) any { return &f.ClusterDNS }, optional: true, absent: "the tenth address of service_cidr",
		},
		{
			name: "mtu", description: "The MTU of the pods' network in bytes; 0 lets Cilium find out.", example: "1400",
			field: func(f *Facts) any { return &f.MTU }, optional: true, absent: "0",
			// 1280 is the least that IPv6 allows on a link, 9216 the most that common switches forward.
			numbers: []bounds{{0, 0}, {1280, 9216}},
		},
	}
}

// decodeFacts reads all facts of the site. A fact holds for the whole site, so
// all its nodes must see the same value.
func (inv *inventory) decodeFacts() {
	common := inv.variables(nil)
	var nodes []variables
	var names []string
	for _, n := range inv.site.Nodes {
		nodes = append(nodes, inv.variables(inv.hosts[n.Name]))
		names = append(names, n.Name)
	}
	var missing []*fact
	for i := range inv.facts {
		f := &inv.facts[i]
		v, ok := common.lookup(f.name)
		for j, vars := range nodes {
			own, has := vars.lookup(f.name)
			if !ok && j == 0 {
				v, ok = own, has
				continue
			}
			if ok && (!has || !same(v.node, own.node)) {
				at, what := v, "does not have it"
				if has {
					at, what = own, "has another value"
				}
				inv.wrong[f.name] = true
				inv.fail("fact-differs", at.file.Position(at.key), fmt.Sprintf("%s holds for the whole site, but node %s %s", f.name, names[j], what),
					"state it once, in "+mainVars+" of the site")
				break
			}
			if !ok && has {
				v, ok = own, true
				inv.wrong[f.name] = true
				inv.fail("fact-differs", own.file.Position(own.key), fmt.Sprintf("%s holds for the whole site, but node %s does not have it", f.name, names[0]),
					"state it once, in "+mainVars+" of the site")
				break
			}
		}
		switch {
		case ok:
			inv.site.at[f.name] = v.position()
			if !inv.decode(f, v) {
				inv.wrong[f.name] = true
			}
		case !f.optional:
			inv.wrong[f.name] = true
			missing = append(missing, f)
		}
	}
	inv.reportNames(missing, append(nodes, common))
	if f := &inv.site.Facts; !inv.wrong["cluster_dns"] && !f.ClusterDNS.IsValid() && f.ServiceCIDR.IsValid() {
		// As k3s does: cluster-dns is by default the tenth address of service-cidr.
		if f.ServiceCIDR.Bits() <= 28 {
			f.ClusterDNS = plus(f.ServiceCIDR.Addr(), 10)
		}
	}
}

// reportNames reports missing facts and names that look like a fact's. A
// mistyped name is why a fact is missing, which is one problem.
func (inv *inventory) reportNames(missing []*fact, all []variables) {
	known := nodeVariables()
	for _, f := range inv.facts {
		known = append(known, f.name)
	}
	typos := map[string]value{} // by the name that is not known
	for _, vars := range all {
		for _, layer := range vars {
			for name, v := range layer {
				if !slices.Contains(known, name) {
					typos[name] = v
				}
			}
		}
	}
	unknown := make([]string, 0, len(typos))
	for name := range typos {
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	var own []string // missing facts of the site itself
	for _, f := range missing {
		near := slices.IndexFunc(unknown, func(name string) bool { _, ok := nearest(name, []string{f.name}); return ok })
		switch {
		case near >= 0:
			name := unknown[near]
			v := typos[name]
			inv.fail("fact-unknown", v.file.Position(v.key), fmt.Sprintf("%s is no fact, and the fact %s is missing", name, f.name),
				fmt.Sprintf("rename it to %s", f.name))
			unknown = slices.Delete(unknown, near, near+1)
		case inv.incomplete:
			// It may stand in what could not be read.
		case f.shared:
			inv.fail("fact-missing", whole(shared), fmt.Sprintf("the fact %s is missing", f.name),
				fmt.Sprintf("add %s: %s (for example) below all: vars: here, or to a site's %s", f.name, f.example, mainVars))
		default:
			own = append(own, f.name)
			if file := inv.mainFile(); file != "" {
				inv.fail("fact-missing", whole(file), fmt.Sprintf("the fact %s is missing", f.name),
					fmt.Sprintf("add %s: %s (for example) to this file", f.name, f.example))
			}
		}
	}
	if len(own) > 0 && inv.mainFile() == "" {
		inv.fail("fact-missing", whole(inv.dir), "the site states no facts: missing are "+strings.Join(own, ", "),
			"write them into "+inv.dir+"/"+mainVars)
	}
	for _, name := range unknown {
		if near, ok := nearest(name, known); ok {
			v := typos[name]
			inv.warn("fact-unknown", v.file.Position(v.key), fmt.Sprintf("%s is no fact, but looks like %s", name, near),
				fmt.Sprintf("rename it to %s, or to something less like it", near))
		}
	}
}

// mainFile returns the file that holds the site's facts, "" when there is none.
func (inv *inventory) mainFile() string {
	files := inv.find(inv.dir+"/group_vars", "all")
	for _, f := range files {
		if !sealed(f) {
			return f
		}
	}
	return ""
}

// same reports whether two values are equal as their authors wrote them.
func same(a, b *yaml.Node) bool {
	a, b = target(a), target(b)
	if a == b {
		return true
	}
	return a.Kind == b.Kind && a.Tag == b.Tag && a.Value == b.Value && slices.EqualFunc(a.Content, b.Content, same)
}

// decode sets a fact, or reports why it cannot and returns false.
func (inv *inventory) decode(f *fact, v value) bool {
	switch field := f.field(&inv.site.Facts).(type) {
	case *string:
		text, ok := inv.text(f.name, v)
		if !ok || !inv.checkText(f, v, text) {
			return false
		}
		*field = text
	case *int:
		n, ok := inv.count(f, v)
		if ok {
			*field = n
		}
		return ok
	case *netip.Addr:
		text, ok := inv.text(f.name, v)
		if !ok {
			return false
		}
		a, err := parseAddress(text)
		if err != nil {
			inv.fail("fact-invalid", v.position(), fmt.Sprintf("%s must be an address: %v", f.name, err), "write an IPv4 address, for example "+f.example)
			return false
		}
		*field = a
	case *netip.Prefix:
		text, ok := inv.text(f.name, v)
		if !ok {
			return false
		}
		p, ok := inv.network(f.name, v, text)
		if ok {
			*field = p
		}
		return ok
	case *[]Range:
		ranges, ok := inv.rangesOf(f, v)
		if ok {
			*field = ranges
		}
		return ok
	}
	return true
}

// typed reports a value that is not of the kind wanted, or not known here.
func (inv *inventory) typed(name string, v value, want kind) bool {
	k := inv.types.kindOf(v.node)
	if v.sealed || k == isEncrypted {
		inv.fail("fact-dynamic", v.position(), name+" is encrypted, but archipel must know it without a key",
			"state it in clear: it is no secret")
		return false
	}
	if k == isString && templated(target(v.node).Value) {
		inv.fail("fact-dynamic", v.position(), name+" is computed with Jinja, but archipel must know it without running Ansible",
			"write the value itself")
		return false
	}
	if k == want {
		return true
	}
	if k == isNull {
		inv.fail("fact-type", v.position(), name+" has no value", "write the value, or remove the line")
		return false
	}
	fix := "write " + string(want)
	switch scalar := target(v.node).Kind == yaml.ScalarNode; {
	case want == isString && scalar:
		fix = "put the value in quotes"
	case want == isInt && k == isString:
		fix = "write a whole number, without quotes"
	}
	inv.fail("fact-type", v.position(), fmt.Sprintf("%s must be %s, but it is %s to Ansible", name, want, k), fix)
	return false
}

// text returns a value that is text to every YAML reader.
func (inv *inventory) text(name string, v value) (string, bool) {
	if !inv.typed(name, v, isString) {
		return "", false
	}
	n := target(v.node)
	// Terraform and Kubernetes read YAML 1.2, where 1e3 and 0o17 are numbers.
	if n.Style == 0 && n.ShortTag() != "!!str" {
		inv.fail("fact-notation", v.position(), fmt.Sprintf("%s is text to Ansible, but not to other readers of YAML", name), "put the value in quotes")
		return "", false
	}
	return n.Value, true
}

// count returns a whole number that is the same to every YAML reader.
func (inv *inventory) count(f *fact, v value) (int, bool) {
	if !inv.typed(f.name, v, isInt) {
		return 0, false
	}
	text := target(v.node).Value
	n, ok := integer(text)
	within := slices.ContainsFunc(f.numbers, func(b bounds) bool { return ok && b.first <= n && n <= b.last })
	switch {
	case ok && strconv.Itoa(n) != text:
		inv.fail("fact-notation", v.position(), fmt.Sprintf("%s is %d to Ansible, but readers of YAML disagree on %s", f.name, n, text), fmt.Sprintf("write %d", n))
		return 0, false
	case !within:
		inv.fail("fact-invalid", v.position(), fmt.Sprintf("%s must be %s, but it is %s", f.name, spans(f.numbers), text), "write "+spans(f.numbers))
		return 0, false
	}
	return n, true
}

// spans says which numbers are allowed.
func spans(all []bounds) string {
	words := make([]string, len(all))
	for i, b := range all {
		if words[i] = strconv.Itoa(b.first); b.last != b.first {
			words[i] = fmt.Sprintf("%d to %d", b.first, b.last)
		}
	}
	return strings.Join(words, " or ")
}

// checkText applies a fact's pattern or choices.
func (inv *inventory) checkText(f *fact, v value, text string) bool {
	if f.private && credentials(text) {
		inv.report(finding.Finding{
			Rule: "git-url-credentials", Severity: finding.Error, Position: v.position(), Secret: true,
			Message: f.name + " holds credentials, which everyone who can read the repository can read",
			Fix:     "remove them from the URL, make them invalid at the Git server, and give Flux new ones in an encrypted Secret",
		})
		return false
	}
	matches := func(s string) bool {
		return f.pattern != nil && f.pattern.MatchString(s) || slices.Contains(f.choices, s)
	}
	if matches(text) {
		return true
	}
	form, rule := f.form, f.rule
	if rule == "" {
		rule = "fact-invalid"
	}
	if form == "" {
		form = strings.Join(f.choices, " or ")
	}
	shown := fmt.Sprintf(", but it is %q", text)
	if f.private {
		shown = ""
	}
	fix := fmt.Sprintf("write %s, for example %s", form, f.example)
	for _, better := range corrections(text, f.choices) {
		if matches(better) && !f.private {
			fix = "write " + better
			break
		}
	}
	inv.report(finding.Finding{
		Rule: rule, Severity: finding.Error, Position: v.position(), Secret: f.private && strings.Contains(text, "@"),
		Message: fmt.Sprintf("%s must be %s%s", f.name, form, shown), Fix: fix,
	})
	return false
}

// corrections returns what a person who wrote text may have meant.
func corrections(text string, choices []string) []string {
	text = strings.TrimSpace(text)
	lower := strings.ToLower(text)
	plain := strings.TrimPrefix(lower, "v")
	all := []string{text, lower, "v" + plain, plain, "v" + strings.Replace(plain, "-k3s", "+k3s", 1), "v" + plain + "+k3s1"}
	if near, ok := nearest(lower, choices); ok {
		all = append(all, near)
	}
	return all
}

// credentials reports whether a URL carries a password or a token: any user
// information but the bare user name that SSH needs.
func credentials(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		// What does not parse is shown nowhere; an @ before the path is suspicious enough.
		_, rest, _ := strings.Cut(text, "://")
		authority, _, _ := strings.Cut(rest, "/")
		return strings.Contains(authority, "@")
	}
	if u.User == nil {
		return false
	}
	_, password := u.User.Password()
	return password || u.Scheme != "ssh"
}

// network reads a network and insists on its first address.
func (inv *inventory) network(name string, v value, text string) (netip.Prefix, bool) {
	p, err := parsePrefix(text)
	if err != nil {
		inv.fail("fact-invalid", v.position(), fmt.Sprintf("%s must be a network: %v", name, err), "write address/bits, for example 198.51.100.0/24")
		return p, false
	}
	if p != p.Masked() {
		inv.fail("cidr-host-bits", v.position(), fmt.Sprintf("%s is %s, which is an address inside a network and not the network", name, p), "write "+p.Masked().String())
		return p, false
	}
	return p, true
}

// rangesOf reads a list of ranges and networks. All entries must be good.
func (inv *inventory) rangesOf(f *fact, v value) ([]Range, bool) {
	if !inv.typed(f.name, v, isList) {
		return nil, false
	}
	list := target(v.node)
	if len(list.Content) == 0 {
		inv.fail("fact-invalid", v.position(), f.name+" is empty, but the mesh API server needs an address", "write at least one range, for example "+f.example)
		return nil, false
	}
	good := true
	var ranges []Range
	var positions []finding.Position
	for _, n := range list.Content {
		entry := value{v.key, n, v.file, v.sealed}
		text, ok := inv.text("an entry of "+f.name, entry)
		if !ok {
			good = false
			continue
		}
		r, err := parseRange(text)
		switch {
		case err != nil:
			good = false
			inv.fail("fact-invalid", entry.position(), fmt.Sprintf("an entry of %s must be a range: %v", f.name, err), "write first-last or a network, for example 198.51.100.200-198.51.100.239")
		case strings.Contains(text, "/"):
			if _, ok := inv.network("an entry of "+f.name, entry, text); !ok {
				good = false
			}
		case r.First.Compare(r.Last) > 0:
			good = false
			inv.fail("load-balancer-range-reversed", entry.position(), fmt.Sprintf("the range %s ends before it begins", r), "write "+Range{r.Last, r.First}.String())
		}
		ranges, positions = append(ranges, r), append(positions, entry.position())
	}
	inv.ranges = positions
	return ranges, good
}
