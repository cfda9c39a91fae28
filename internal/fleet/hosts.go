package fleet

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
	"archipel/internal/source"
)

// Bounds of one site, so that a host range or a maze of groups cannot exhaust
// memory or time. Kubernetes supports 5000 nodes in a cluster.
const (
	maxHosts  = 10000
	maxGroups = 500
)

// group is an inventory group, filled from all files that name it.
type group struct {
	name     string
	vars     map[string]value
	children []*group
	parents  []*group
	hosts    []*host
	priority int // ansible_group_priority
	depth    int // length of the longest path from all
}

// host is an inventory host.
type host struct {
	name   string
	at     value // the first key that names it
	vars   map[string]value
	groups []*group // that list it, without their ancestors
}

// inventory is the groups and hosts of one site, as Ansible's plugin for YAML
// inventories builds them.
type inventory struct {
	*loader
	site       *Site
	dir        string // of the site
	incomplete bool   // something could not be read, so what is missing may stand there
	full       bool   // there are more groups than maxGroups

	groups map[string]*group
	names  []string // of groups, in the order of their first mention
	hosts  map[string]*host
	order  []*host
	ports  *regexp.Regexp
	merged map[string]map[string]value // variable files by section and name

	wrong     map[string]bool    // facts that have a finding
	addresses []finding.Position // of the nodes' addresses, as site.Nodes
	misplaced map[string]bool    // nodes whose address has a finding
	ranges    []finding.Position // of the load balancer ranges, as site.Facts.LoadBalancerRanges
}

func newInventory(l *loader, site string) *inventory {
	inv := &inventory{
		loader: l, site: &Site{Name: site, at: map[string]finding.Position{}}, dir: inventories + "/" + site,
		groups: map[string]*group{}, hosts: map[string]*host{}, merged: map[string]map[string]value{}, wrong: map[string]bool{}, misplaced: map[string]bool{},
		// A host may carry its SSH port: name:22 or [name]:22.
		ports: regexp.MustCompile(`^(?:\[(.+)\]|((?:[^:\[\]]|\[[^\]]*\])*)):[0-9]+$`),
	}
	inv.connect(inv.group("all"), inv.group("ungrouped"))
	return inv
}

func (inv *inventory) group(name string) *group {
	g, ok := inv.groups[name]
	if !ok {
		g = &group{name: name, vars: map[string]value{}, priority: 1}
		inv.groups[name] = g
		inv.names = append(inv.names, name)
	}
	return g
}

// connect makes one group the child of another and reports whether that is
// possible: groups must not contain themselves.
func (inv *inventory) connect(parent, child *group) bool {
	if slices.Contains(parent.children, child) {
		return true
	}
	if parent == child || slices.Contains(descendants(child), parent) {
		return false
	}
	parent.children = append(parent.children, child)
	child.parents = append(child.parents, parent)
	return true
}

// descendants returns a group and all groups below it, nearest first, which is
// the order in which Ansible lists their hosts.
func descendants(g *group) []*group {
	return reach(g, func(g *group) []*group { return g.children })
}

// ancestors returns a group and all groups above it.
func ancestors(g *group) []*group {
	return reach(g, func(g *group) []*group { return g.parents })
}

func reach(from *group, next func(*group) []*group) []*group {
	seen := map[*group]bool{from: true}
	found := []*group{from}
	for i := 0; i < len(found); i++ {
		for _, g := range next(found[i]) {
			if !seen[g] {
				seen[g] = true
				found = append(found, g)
			}
		}
	}
	return found
}

// members returns the hosts of a group and of the groups below it.
func (g *group) members() []*host {
	var hosts []*host
	seen := map[*host]bool{}
	for _, d := range descendants(g) {
		for _, h := range d.hosts {
			if !seen[h] {
				seen[h] = true
				hosts = append(hosts, h)
			}
		}
	}
	return hosts
}

// add merges one inventory file.
func (inv *inventory) add(y *source.YAML, root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		inv.reject(y, root, "an inventory is a mapping of groups, but this is "+string(inv.types.kindOf(root)),
			"write groups, for example all: with children: servers: and agents: below it")
		return
	}
	entries := pairs(root)
	for _, p := range entries {
		if p.key.Value == "plugin" && inv.types.kindOf(p.node) != isNull {
			inv.unsupported(y.Position(p.key), "this file configures an inventory plugin")
			return
		}
	}
	for _, p := range entries {
		inv.addGroup(y, p, true)
	}
}

// addGroup merges one group and returns it, or nil when the entry is no group.
func (inv *inventory) addGroup(y *source.YAML, p pair, top bool) *group {
	if p.key.Kind != yaml.ScalarNode || inv.types.kindOf(p.key) != isString || p.key.Value == "" {
		inv.reject(y, p.key, "a group's name must be text", "quote the name")
		return nil
	}
	switch k := inv.types.kindOf(p.node); {
	case len(inv.groups) >= maxGroups && inv.groups[p.key.Value] == nil:
		if !inv.full {
			inv.full = true
			inv.reject(y, p.key, fmt.Sprintf("the site has more than %d groups, which archipel does not read", maxGroups), "use fewer groups")
		}
		return nil
	case k == isNull:
		return inv.group(p.key.Value)
	case k != isMapping && top:
		inv.ignored(y, p.key, fmt.Sprintf("%q is no group, because it is %s: Ansible ignores it", p.key.Value, k),
			"put variables under vars: of a group, or into group_vars")
		return nil
	case k != isMapping:
		inv.reject(y, p.node, fmt.Sprintf("the group %q must be a mapping, but it is %s", p.key.Value, k),
			"write hosts:, children: or vars: below the group")
		return nil
	}
	g := inv.group(p.key.Value)
	for _, section := range pairs(p.node) {
		k := inv.types.kindOf(section.node)
		switch name := section.key.Value; {
		case name != "vars" && name != "children" && name != "hosts":
			inv.ignored(y, section.key, fmt.Sprintf("%q in group %q is none of hosts, children and vars: Ansible ignores it", name, g.name),
				"put groups under children:, hosts under hosts: and variables under vars:")
		case k == isNull:
		case k == isString:
			// A single name is a mapping with that name alone.
			inv.addEntry(y, g, name, pair{target(section.node), &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}})
		case k != isMapping:
			inv.reject(y, section.node, fmt.Sprintf("%q of group %q must be a mapping, but it is %s", name, g.name, k),
				"write each entry as a key that ends with a colon")
		default:
			for _, entry := range pairs(section.node) {
				inv.addEntry(y, g, name, entry)
			}
		}
	}
	return g
}

// addEntry merges one entry of a group's vars, children or hosts.
func (inv *inventory) addEntry(y *source.YAML, g *group, section string, p pair) {
	switch section {
	case "vars":
		if p.key.Value == "ansible_group_priority" {
			n, err := strconv.Atoi(target(p.node).Value)
			if err != nil {
				inv.reject(y, p.node, "ansible_group_priority must be a whole number", "write a number, the default is 1")
				return
			}
			g.priority = n
			return
		}
		g.vars[p.key.Value] = value{p.key, p.node, y, false}
	case "children":
		if child := inv.addGroup(y, p, false); child != nil && !inv.connect(g, child) {
			inv.fail("group-cycle", y.Position(p.key), fmt.Sprintf("the group %q contains itself through %q", child.name, g.name),
				"remove one of the two from the children of the other")
		}
	case "hosts":
		inv.addHosts(y, g, p)
	}
}

// addHosts adds the hosts of one key, which may be a range, to a group.
func (inv *inventory) addHosts(y *source.YAML, g *group, p pair) {
	if p.key.Kind != yaml.ScalarNode || inv.types.kindOf(p.key) != isString || p.key.Value == "" {
		inv.reject(y, p.key, "a host's name must be text", "quote the name")
		return
	}
	k := inv.types.kindOf(p.node)
	if k != isMapping && k != isNull {
		inv.reject(y, p.node, fmt.Sprintf("the variables of host %q must be a mapping, but they are %s", p.key.Value, k),
			"write each variable as key: value below the host")
		return
	}
	pattern := p.key.Value
	if m := inv.ports.FindStringSubmatch(pattern); m != nil {
		pattern = m[1] + m[2]
	}
	names, err := expand(pattern, maxHosts-len(inv.hosts))
	if err != nil {
		inv.incomplete = true
		inv.fail("host-range-invalid", y.Position(p.key), fmt.Sprintf("the host range %q %v", p.key.Value, err),
			"write name[first:last], for example node[1:3] or node[01:10:2]")
		return
	}
	var vars []pair
	if k == isMapping {
		vars = pairs(p.node)
	}
	for _, name := range names {
		h, ok := inv.hosts[name]
		if !ok {
			h = &host{name: name, at: value{p.key, p.node, y, false}, vars: map[string]value{}}
			inv.hosts[name] = h
			inv.order = append(inv.order, h)
		}
		if !slices.Contains(h.groups, g) {
			h.groups = append(h.groups, g)
			g.hosts = append(g.hosts, h)
		}
		for _, v := range vars {
			h.vars[v.key.Value] = value{v.key, v.node, y, false}
		}
	}
}

// finish gives every group its place below all and its depth, as Ansible does
// once all files are read.
func (inv *inventory) finish() {
	all, ungrouped := inv.groups["all"], inv.groups["ungrouped"]
	for _, name := range inv.names {
		g := inv.groups[name]
		if g == all || len(g.parents) > 0 {
			continue
		}
		if !inv.connect(all, g) {
			inv.fail("group-cycle", whole(inv.dir), fmt.Sprintf("the group %q contains the group all, which contains every group", name),
				fmt.Sprintf("remove all from the children of %s and of the groups below it", name))
		}
	}
	for _, h := range inv.order {
		alone := len(h.groups) == 0 || len(h.groups) == 1 && h.groups[0] == all
		if alone {
			h.groups = append(h.groups, ungrouped)
			ungrouped.hosts = append(ungrouped.hosts, h)
		}
		if _, ok := inv.groups[h.name]; ok {
			inv.fail("host-name-ambiguous", h.at.file.Position(h.at.key), fmt.Sprintf("%q is a host and a group: Ansible mixes up their variables", h.name),
				"rename one of them")
		}
	}
	// Groups form a graph without cycles: lengthen paths until none grows.
	for queue := []*group{all}; len(queue) > 0; queue = queue[1:] {
		for _, c := range queue[0].children {
			if c.depth < queue[0].depth+1 && queue[0].depth < len(inv.names) {
				c.depth = queue[0].depth + 1
				queue = append(queue, c)
			}
		}
	}
}

// lineage returns the groups of a host but all, in the order in which their
// variables apply, the last one winning.
func (h *host) lineage() []*group {
	seen := map[*group]bool{}
	var groups []*group
	for _, g := range h.groups {
		for _, a := range ancestors(g) {
			if a.name != "all" && !seen[a] {
				seen[a] = true
				groups = append(groups, a)
			}
		}
	}
	slices.SortFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(a.priority, b.priority), strings.Compare(a.name, b.name))
	})
	return groups
}

// expand returns the names that a host pattern stands for, at most limit: one
// range after the other, as expand_hostname_range of Ansible does.
func expand(pattern string, limit int) ([]string, error) {
	names := []string{pattern}
	for strings.Contains(names[0], "[") {
		var longer []string
		for _, name := range names {
			expanded, err := expandFirst(name, limit-len(longer))
			if err != nil {
				return nil, err
			}
			longer = append(longer, expanded...)
		}
		names = longer
	}
	if len(names) > limit {
		return nil, fmt.Errorf("brings the site above %d hosts", maxHosts)
	}
	return names, nil
}

// expandFirst expands the first range of a pattern.
func expandFirst(pattern string, limit int) ([]string, error) {
	head, rest, _ := strings.Cut(pattern, "[")
	inside, tail, ok := strings.Cut(rest, "]")
	if !ok || strings.Contains(head, "]") || strings.Contains(pattern, "|") {
		return nil, fmt.Errorf("has unbalanced brackets")
	}
	bounds := strings.Split(inside, ":")
	if len(bounds) != 2 && len(bounds) != 3 {
		return nil, fmt.Errorf("is not of the form [first:last] or [first:last:step]")
	}
	first, last, step := bounds[0], bounds[1], 1
	if first == "" {
		first = "0"
	}
	if last == "" {
		return nil, fmt.Errorf("has no last value")
	}
	if len(bounds) == 3 {
		n, ok := number(bounds[2])
		if !ok || n < 1 {
			return nil, fmt.Errorf("has the step %q, which is not a number from 1", bounds[2])
		}
		step = n
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	from, to := strings.Index(letters, first), strings.Index(letters, last)
	write := func(i int) string { return letters[i : i+1] }
	if from < 0 || to < 0 {
		var ok1, ok2 bool
		from, ok1 = number(first)
		to, ok2 = number(last)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("does not run between two numbers or two letters")
		}
		digits := 0
		if first[0] == '0' && len(first) > 1 {
			if digits = len(first); digits != len(last) {
				return nil, fmt.Errorf("begins with zeros, so both ends must have equally many digits")
			}
		}
		write = func(i int) string { return fmt.Sprintf("%0*d", digits, i) }
	}
	if from > to {
		return nil, fmt.Errorf("is empty: its first value comes after its last")
	}
	if (to-from)/step+1 > limit {
		return nil, fmt.Errorf("brings the site above %d hosts", maxHosts)
	}
	var names []string
	for i := from; i <= to; i += step {
		names = append(names, head+write(i)+tail)
	}
	return names, nil
}

// number reads the digits of a host range's bound.
func number(s string) (int, bool) {
	if s == "" || len(s) > 9 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
