package diff

import (
	"fmt"
	"slices"
	"strings"

	"archipel/internal/fleet"

	"github.com/Masterminds/semver/v3"
)

// siteFact is a fact as its inventory names it, and what a change of it means.
type siteFact struct {
	name   string
	value  func(fleet.Facts) any
	danger string // empty for none
	what   string // the program whose version it is
}

func siteFacts() []siteFact {
	const (
		ranges = "nodes, pods and services that run keep their old addresses, and routes of the other sites still lead there"
		mesh   = "every workload of the site must be restarted, and all sites of the mesh must agree"
	)
	return []siteFact{
		{"cluster_id", func(f fleet.Facts) any { return f.ClusterID }, "the site's identity in the mesh: " + mesh, ""},
		{"mesh_max_clusters", func(f fleet.Facts) any { return f.MeshMaxClusters }, "it is fixed once Cilium runs: " + mesh, ""},
		{"mesh_api_address", func(f fleet.Facts) any { return text(f.MeshAPIAddress) }, "the other sites reach this one there: the mesh parts until all have the new address", ""},
		{"node_cidr", func(f fleet.Facts) any { return text(f.NodeCIDR) }, ranges, ""},
		{"pod_cidr", func(f fleet.Facts) any { return text(f.PodCIDR) }, "k3s does not change it on a cluster that runs: " + ranges, ""},
		{"service_cidr", func(f fleet.Facts) any { return text(f.ServiceCIDR) }, "k3s does not change it on a cluster that runs: " + ranges, ""},
		{"cluster_dns", func(f fleet.Facts) any { return text(f.ClusterDNS) }, "pods that run ask the old address", ""},
		{"native_routing_cidr", func(f fleet.Facts) any { return text(f.NativeRoutingCIDR) }, "what lies outside is masqueraded: traffic between sites is cut while they differ", ""},
		{"load_balancer_ranges", func(f fleet.Facts) any {
			var list []string
			for _, r := range f.LoadBalancerRanges {
				list = append(list, r.String())
			}
			return strings.Join(list, ", ")
		}, "a service whose address is no longer in a range loses it", ""},
		{"interconnect", func(f fleet.Facts) any { return f.Interconnect }, "how sites reach one another", ""},
		{"node_interface", func(f fleet.Facts) any { return f.NodeInterface }, "Cilium moves to another network interface", ""},
		{"mtu", func(f fleet.Facts) any { return f.MTU }, "too large a value loses packets between sites", ""},
		{"git_url", func(f fleet.Facts) any { return f.GitURL }, "the site pulls another repository", ""},
		{"git_branch", func(f fleet.Facts) any { return f.GitBranch }, "the site follows another branch", ""},
		{"k3s_version", func(f fleet.Facts) any { return f.K3sVersion }, "", "k3s"},
		{"flux_version", func(f fleet.Facts) any { return f.FluxVersion }, "", "Flux"},
		{"cilium_version", func(f fleet.Facts) any { return f.CiliumVersion }, "the network layer (Cilium): it restarts on every node", "Cilium"},
		{"metallb_version", func(f fleet.Facts) any { return f.MetalLBVersion }, "the network layer (MetalLB): it restarts on every node", "MetalLB"},
	}
}

// text is an address or a network; empty for a fact that is not known.
func text[T interface {
	IsValid() bool
	fmt.Stringer
}](v T) string {
	if !v.IsValid() {
		return ""
	}
	return v.String()
}

// CompareSites says how the inventory of a site differs. Nil stands for a tree
// that does not have the site.
func CompareSites(before, after *fleet.Site) []Change {
	switch {
	case before == nil && after == nil:
		return nil
	case before == nil:
		return []Change{wholeSite(after, Created)}
	case after == nil:
		change := wholeSite(before, Deleted)
		change.Dangers = []string{"the site leaves the fleet: the others part from its mesh, and nothing in its cluster is deleted"}
		return []Change{change}
	}
	var changes []Change
	for _, f := range siteFacts() {
		old, fresh := f.value(before.Facts), f.value(after.Facts)
		if old == fresh {
			continue
		}
		change := Change{
			Layer: Inventory, Action: Changed, Subject: "fact " + f.name, Sites: []string{after.Name}, Source: after.Position(f.name),
			Fields: []Field{{Path: f.name, Kind: FieldChanged, Old: bounded(old), New: bounded(fresh)}},
		}
		if f.danger != "" {
			change.Dangers = append(change.Dangers, f.danger)
		}
		if f.what != "" {
			change.Notes = append(change.Notes, versionWord(show(old), show(fresh)))
			change.Dangers = append(change.Dangers, versionDanger(f.what, show(old), show(fresh))...)
		}
		changes = append(changes, change)
	}
	return append(changes, compareNodes(before, after)...)
}

func wholeSite(s *fleet.Site, action Action) Change {
	kind := FieldAdded
	if action == Deleted {
		kind = FieldRemoved
	}
	change := Change{Layer: Inventory, Action: action, Subject: "site " + s.Name, Sites: []string{s.Name}}
	put := func(path string, v any) {
		f := Field{Path: path, Kind: kind, New: v}
		if kind == FieldRemoved {
			f.Old, f.New = v, nil
		}
		change.Fields = append(change.Fields, f)
	}
	for _, f := range siteFacts() {
		if slices.Contains([]string{"cluster_id", "node_cidr", "pod_cidr", "service_cidr", "k3s_version"}, f.name) {
			put(f.name, f.value(s.Facts))
		}
	}
	for _, n := range s.Nodes {
		if len(change.Fields) == maxKeyFields {
			change.More = len(s.Nodes) + 5 - maxKeyFields
			break
		}
		put("node "+n.Name, string(n.Role)+" "+text(n.Address))
	}
	return change
}

func compareNodes(before, after *fleet.Site) []Change {
	var changes []Change
	find := func(nodes []fleet.Node, name string) *fleet.Node {
		i := slices.IndexFunc(nodes, func(n fleet.Node) bool { return n.Name == name })
		if i < 0 {
			return nil
		}
		return &nodes[i]
	}
	for _, n := range before.Nodes {
		if find(after.Nodes, n.Name) != nil {
			continue
		}
		change := Change{
			Layer: Inventory, Action: Deleted, Subject: "node " + n.Name, Sites: []string{before.Name},
			Fields: []Field{{Path: "role", Kind: FieldRemoved, Old: string(n.Role)}, {Path: "address", Kind: FieldRemoved, Old: text(n.Address)}},
			Notes:  []string{"Flux does not touch the machine: drain the node and delete it from the cluster"},
		}
		if n.Role == fleet.RoleServer {
			change.Dangers = []string{fmt.Sprintf("a server leaves: etcd has %d of %d members left", len(after.Servers()), len(before.Servers()))}
		}
		changes = append(changes, change)
	}
	for _, n := range after.Nodes {
		old := find(before.Nodes, n.Name)
		change := Change{Layer: Inventory, Action: Changed, Subject: "node " + n.Name, Sites: []string{after.Name}, Source: n.Position}
		if old == nil {
			change.Action = Created
			change.Fields = []Field{{Path: "role", Kind: FieldAdded, New: string(n.Role)}, {Path: "address", Kind: FieldAdded, New: text(n.Address)}}
			changes = append(changes, change)
			continue
		}
		if old.Role != n.Role {
			change.Fields = append(change.Fields, Field{Path: "role", Kind: FieldChanged, Old: string(old.Role), New: string(n.Role)})
			change.Dangers = append(change.Dangers, "a node that changes its role must leave the cluster and join it anew")
		}
		if old.Address != n.Address {
			change.Fields = append(change.Fields, Field{Path: "address", Kind: FieldChanged, Old: text(old.Address), New: text(n.Address)})
			change.Dangers = append(change.Dangers, "k3s and Cilium know the node by its address: it must join anew, a server of etcd above all")
		}
		if old.SSHHost != n.SSHHost {
			change.Fields = append(change.Fields, Field{Path: "ansible_host", Kind: FieldChanged, Old: old.SSHHost, New: n.SSHHost})
		}
		if len(change.Fields) > 0 {
			changes = append(changes, change)
		}
	}
	return changes
}

// older reports whether a is an older version than b; false when one is none.
func older(a, b string) bool {
	x, err := semver.NewVersion(a)
	if err != nil {
		return false
	}
	y, err := semver.NewVersion(b)
	if err != nil {
		return false
	}
	// k3s puts its own release behind the plus, which semantic versions do not order.
	if x.Equal(y) {
		return k3sRelease(x) < k3sRelease(y)
	}
	return x.LessThan(y)
}

func k3sRelease(v *semver.Version) int {
	var n int
	if _, err := fmt.Sscanf(v.Metadata(), "k3s%d", &n); err != nil {
		return 0
	}
	return n
}

func versionWord(old, fresh string) string {
	if older(fresh, old) {
		return "a downgrade"
	}
	return "an upgrade"
}
