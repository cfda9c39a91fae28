// Package fleet knows the sites, their nodes, facts and cross-site invariants,
// loaded from the inventories.
package fleet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"archipel/internal/finding"
)

// Fleet is all sites of the repository.
type Fleet struct {
	Sites []*Site // sorted by name
}

// Site is one k3s cluster: a directory of kubernetes/ansible/inventories.
type Site struct {
	Name  string
	Facts Facts
	Nodes []Node // servers first, then agents, each in inventory order
	// Gateways are the names of the nodes that hold the site's end of the WireGuard link, in
	// order of preference: the group gateways, by default the first server.
	Gateways []string

	at map[string]finding.Position // of the value that a fact takes
}

// Role says what k3s runs on a node.
type Role string

// The roles, named in the singular after the inventory groups servers and agents.
const (
	RoleServer Role = "server"
	RoleAgent  Role = "agent"
)

// Node is one machine of a site.
type Node struct {
	Name    string     // the inventory's host name, a DNS name
	Role    Role       // what k3s runs on it
	Address netip.Addr // node_ip, by default ansible_host; what other nodes and sites reach
	SSHHost string     // ansible_host, by default the name: where Ansible connects to
	// WireGuardEndpoint is where the gateways of other sites reach this node: wireguard_endpoint,
	// by default its address and WireGuard's port.
	WireGuardEndpoint string
	Position          finding.Position
}

// Facts are what a site's inventory says about the site as a whole. A fact with
// a finding keeps its zero value.
type Facts struct {
	GitURL            string       // https or ssh URL that Flux pulls, without credentials
	GitBranch         string       // branch that Flux follows
	K3sVersion        string       // vX.Y.Z+k3sN
	FluxVersion       string       // vX.Y.Z
	CiliumVersion     string       // X.Y.Z, version of the chart
	MetalLBVersion    string       // X.Y.Z, version of the chart
	NativeRoutingCIDR netip.Prefix // holds the pod CIDRs of all sites, no node or service network
	Interconnect      string       // wireguard or none
	NodeInterface     string       // network interface that carries a node's address
	MeshMaxClusters   int          // 255 or 511
	ClusterID         int          // 1 to MeshMaxClusters, unique in the fleet
	NodeCIDR          netip.Prefix // network of the nodes
	PodCIDR           netip.Prefix // cluster-cidr of k3s
	ServiceCIDR       netip.Prefix // service-cidr of k3s
	// LoadBalancerRanges are what MetalLB gives away, inside NodeCIDR and apart from the nodes.
	LoadBalancerRanges []Range
	MeshAPIAddress     netip.Addr // of the mesh API server, in one of LoadBalancerRanges
	ClusterDNS         netip.Addr // by default the tenth address of ServiceCIDR
	MTU                int        // bytes; 0 means that Cilium finds out
}

// Servers returns the nodes that run the Kubernetes control plane, in inventory order.
func (s *Site) Servers() []Node {
	for i, n := range s.Nodes {
		if n.Role != RoleServer {
			return s.Nodes[:i:i]
		}
	}
	return s.Nodes
}

// Position returns where the inventories state a fact, by the fact's name, for
// example "pod_cidr". It is the zero Position for a default or a missing fact.
func (s *Site) Position(fact string) finding.Position { return s.at[fact] }

// Site returns the site of that name.
func (f *Fleet) Site(name string) (*Site, bool) {
	i, found := slices.BinarySearchFunc(f.Sites, name, func(s *Site, name string) int {
		return strings.Compare(s.Name, name)
	})
	if !found {
		return nil, false
	}
	return f.Sites[i], true
}

// Select returns the sites of these names in the fleet's order, each once; no
// names mean all sites. The error of an unknown name lists the known ones.
func (f *Fleet) Select(names []string) ([]*Site, error) {
	if len(names) == 0 {
		return slices.Clone(f.Sites), nil
	}
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		if _, ok := f.Site(name); !ok {
			return nil, f.unknown(name)
		}
		wanted[name] = true
	}
	var sites []*Site
	for _, s := range f.Sites {
		if wanted[s.Name] {
			sites = append(sites, s)
		}
	}
	return sites, nil
}

// unknown explains that there is no site of this name.
func (f *Fleet) unknown(name string) error {
	if len(f.Sites) == 0 {
		return fmt.Errorf("unknown site %q: the fleet has no site yet, add one under %s", name, inventories)
	}
	known := make([]string, len(f.Sites))
	for i, s := range f.Sites {
		known[i] = s.Name
	}
	if near, ok := nearest(name, known); ok {
		return fmt.Errorf("unknown site %q: did you mean %q? Known sites: %s", name, near, listed(known))
	}
	return fmt.Errorf("unknown site %q: known sites are %s", name, listed(known))
}

// listed joins names for a person to read and leaves out most of a long list.
func listed(names []string) string {
	const most = 12
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
