package fleet

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"archipel/internal/finding"
)

// invariants checks what must hold inside each site and between sites. A fact
// that has a finding already takes no part, so that one problem stays one
// finding.
func (l *loader) invariants(sites []*inventory) {
	crossed := l.overlaps(sites)
	for _, s := range sites {
		s.checkNodeNetwork()
		s.checkRanges()
		s.checkPods(crossed[s])
		s.checkServices()
	}
	l.agreement(sites)
	l.unique(sites)
}

// ok reports whether all these facts are known and have no finding.
func (inv *inventory) ok(facts ...string) bool {
	return !slices.ContainsFunc(facts, func(f string) bool { return inv.wrong[f] })
}

// network is a network of a site.
type network struct {
	site   *inventory
	fact   string
	prefix netip.Prefix
}

// overlaps reports networks of nodes, pods and services that share addresses,
// within a site and between sites, and returns the facts of each site that do.
// Two networks either are apart or one holds the other, so that one pass over
// the sorted networks with the stack of those still open finds every overlap.
func (l *loader) overlaps(sites []*inventory) map[*inventory]map[string]bool {
	var all []network
	for _, s := range sites {
		f := s.site.Facts
		for _, n := range []network{{s, "node_cidr", f.NodeCIDR}, {s, "pod_cidr", f.PodCIDR}, {s, "service_cidr", f.ServiceCIDR}} {
			if s.ok(n.fact) {
				all = append(all, n)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b network) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	crossed := map[*inventory]map[string]bool{}
	mark := func(n network) {
		if crossed[n.site] == nil {
			crossed[n.site] = map[string]bool{}
		}
		crossed[n.site][n.fact] = true
	}
	var open []network
	for _, n := range all {
		for len(open) > 0 && !open[len(open)-1].prefix.Overlaps(n.prefix) {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			outer := open[len(open)-1]
			mark(n)
			mark(outer)
			n.overlap(outer)
		}
		open = append(open, n)
	}
	return crossed
}

// overlap reports that a network lies in another one.
func (n network) overlap(outer network) {
	here, there := n.site.site.at[n.fact], outer.site.site.at[outer.fact]
	f := finding.Finding{
		Rule: "cidr-overlap", Severity: finding.Error, Position: here, Sites: []string{n.site.site.Name, outer.site.site.Name},
		Message: fmt.Sprintf("%s %s overlaps %s %s of %s", n.fact, n.prefix, outer.fact, outer.prefix, outer.site.site.Name),
		Fix:     "give every site networks of its own",
	}
	switch {
	case n.site == outer.site:
		f.Message = fmt.Sprintf("%s %s overlaps %s %s of the same site", n.fact, n.prefix, outer.fact, outer.prefix)
		f.Fix = "choose networks that share no address"
	case here == there:
		// One line that several sites read.
		f.Message = fmt.Sprintf("%s %s is the same network for several sites", n.fact, n.prefix)
		f.Fix = "state it in " + mainVars + " of each site"
	}
	n.site.findings = append(n.site.findings, f)
}

// checkNodeNetwork asks that nodes and load balancer ranges lie in node_cidr.
// When none does, node_cidr itself is what is wrong.
func (inv *inventory) checkNodeNetwork() {
	if !inv.ok("node_cidr") {
		return
	}
	f := inv.site.Facts
	var outside []func()
	inside := 0
	for i, n := range inv.site.Nodes {
		switch {
		case !n.Address.IsValid():
		case f.NodeCIDR.Contains(n.Address):
			inside++
		default:
			outside = append(outside, func() {
				inv.misplaced[n.Name] = true
				inv.fail("node-address-outside", inv.addresses[i], fmt.Sprintf("the address %s of node %s is not in node_cidr %s", n.Address, n.Name, f.NodeCIDR),
					"correct the address, or node_cidr")
			})
		}
	}
	if inv.ok("load_balancer_ranges") {
		for i, r := range f.LoadBalancerRanges {
			if f.NodeCIDR.Contains(r.First) && f.NodeCIDR.Contains(r.Last) {
				inside++
				continue
			}
			outside = append(outside, func() {
				inv.fail("load-balancer-range-outside", inv.ranges[i], fmt.Sprintf("the range %s is not in node_cidr %s, so nobody can reach it", r, f.NodeCIDR),
					"choose a range inside node_cidr")
			})
		}
	}
	if inside == 0 && len(outside) > 1 {
		inv.fail("node-cidr-wrong", inv.site.at["node_cidr"], fmt.Sprintf("node_cidr %s holds no address of the site's nodes and load balancer ranges", f.NodeCIDR),
			"write the network that the nodes are in")
		return
	}
	for _, report := range outside {
		report()
	}
}

// checkRanges asks that load balancer ranges are apart from each other and from
// the nodes, and hold the mesh API server's address.
func (inv *inventory) checkRanges() {
	if !inv.ok("load_balancer_ranges") {
		return
	}
	f := inv.site.Facts
	sorted := make([]int, len(f.LoadBalancerRanges))
	for i := range sorted {
		sorted[i] = i
	}
	slices.SortStableFunc(sorted, func(a, b int) int { return f.LoadBalancerRanges[a].First.Compare(f.LoadBalancerRanges[b].First) })
	widest := -1 // of the ranges so far, the one that reaches furthest
	for _, i := range sorted {
		r := f.LoadBalancerRanges[i]
		if widest >= 0 && r.Overlaps(f.LoadBalancerRanges[widest]) {
			inv.fail("load-balancer-range-overlap", inv.ranges[max(i, widest)],
				fmt.Sprintf("the ranges %s and %s share addresses", f.LoadBalancerRanges[min(i, widest)], f.LoadBalancerRanges[max(i, widest)]), "make them apart, or one")
		}
		if widest < 0 || f.LoadBalancerRanges[widest].Last.Less(r.Last) {
			widest = i
		}
	}
	pooled := func(a netip.Addr) int {
		return slices.IndexFunc(f.LoadBalancerRanges, func(r Range) bool { return r.Contains(a) })
	}
	for i, n := range inv.site.Nodes {
		if !n.Address.IsValid() {
			continue
		}
		if inv.ok("mesh_api_address") && n.Address == f.MeshAPIAddress {
			inv.wrong["mesh_api_address"] = true
			inv.fail("mesh-api-address-taken", inv.site.at["mesh_api_address"], fmt.Sprintf("mesh_api_address %s is the address of node %s", f.MeshAPIAddress, n.Name),
				"choose a free address of load_balancer_ranges")
			continue
		}
		if p := pooled(n.Address); p >= 0 && !inv.misplaced[n.Name] {
			inv.misplaced[n.Name] = true
			inv.fail("node-address-pooled", inv.addresses[i], fmt.Sprintf("the address %s of node %s is in the load balancer range %s, so a service may take it", n.Address, n.Name, f.LoadBalancerRanges[p]),
				"move the node or the range")
		}
	}
	if inv.ok("mesh_api_address") && pooled(f.MeshAPIAddress) < 0 {
		inv.wrong["mesh_api_address"] = true
		inv.fail("mesh-api-address-outside", inv.site.at["mesh_api_address"], fmt.Sprintf("mesh_api_address %s is in none of load_balancer_ranges, so MetalLB cannot give it", f.MeshAPIAddress),
			"choose an address of load_balancer_ranges")
	}
	only := netip.Addr{}
	if inv.ok("mesh_api_address") {
		only = f.MeshAPIAddress
	}
	if !slices.ContainsFunc(f.LoadBalancerRanges, func(r Range) bool { return r.First != only || r.Last != only }) {
		inv.fail("load-balancer-range-empty", inv.site.at["load_balancer_ranges"],
			"load_balancer_ranges hold no address but that of the mesh, so no other service gets one, and MetalLB refuses the pool", "add addresses to the ranges")
	}
}

// checkPods asks that the pods' network is routed natively and large enough.
// Networks that overlap are one problem, reported as such.
func (inv *inventory) checkPods(crossed map[string]bool) {
	f := inv.site.Facts
	if inv.ok("pod_cidr", "native_routing_cidr") {
		if native := f.NativeRoutingCIDR; !native.Contains(f.PodCIDR.Addr()) || native.Bits() > f.PodCIDR.Bits() {
			inv.fail("pod-cidr-unrouted", inv.site.at["pod_cidr"], fmt.Sprintf("pod_cidr %s is not inside native_routing_cidr %s, so Cilium would masquerade traffic between pods", f.PodCIDR, native),
				"choose pod_cidr inside native_routing_cidr, or widen native_routing_cidr on all sites")
		}
	}
	for _, n := range []network{{inv, "node_cidr", f.NodeCIDR}, {inv, "service_cidr", f.ServiceCIDR}} {
		if inv.ok(n.fact, "native_routing_cidr") && !crossed[n.fact] && f.NativeRoutingCIDR.Overlaps(n.prefix) {
			inv.fail("native-routing-cidr-wide", inv.site.at[n.fact], fmt.Sprintf("%s %s overlaps native_routing_cidr %s, which must hold pods only", n.fact, n.prefix, f.NativeRoutingCIDR),
				fmt.Sprintf("choose %s outside native_routing_cidr, or narrow native_routing_cidr on all sites", n.fact))
		}
	}
	// The controller manager gives every node a /24 (node-cidr-mask-size).
	if inv.ok("pod_cidr") {
		if room := podRanges(f.PodCIDR); room < max(len(inv.site.Nodes), 1) {
			inv.fail("pod-cidr-small", inv.site.at["pod_cidr"], fmt.Sprintf("pod_cidr %s has room for %d nodes of /24 each, but the site has %d", f.PodCIDR, room, len(inv.site.Nodes)),
				"choose a larger network, a /16 serves 256 nodes")
		}
	}
}

// podRanges returns how many networks of 256 addresses a network holds.
func podRanges(p netip.Prefix) int {
	if p.Bits() > 24 {
		return 0
	}
	return 1 << (24 - p.Bits())
}

// checkServices asks that the DNS service has an address of the services.
func (inv *inventory) checkServices() {
	f := inv.site.Facts
	switch {
	case !inv.ok("service_cidr", "cluster_dns"):
	case !f.ClusterDNS.IsValid():
		inv.fail("service-cidr-small", inv.site.at["service_cidr"], fmt.Sprintf("service_cidr %s has no tenth address, which the DNS service takes", f.ServiceCIDR),
			"choose a larger network, a /16 is usual")
	case !f.ServiceCIDR.Contains(f.ClusterDNS):
		inv.fail("cluster-dns-outside", inv.site.at["cluster_dns"], fmt.Sprintf("cluster_dns %s is not in service_cidr %s", f.ClusterDNS, f.ServiceCIDR),
			"choose an address of service_cidr, or remove cluster_dns to take the tenth")
	}
}

// agreement asks that facts which the mesh needs equal on all sites are so.
func (l *loader) agreement(sites []*inventory) {
	agree := func(fact string, of func(Facts) string) {
		count := map[string]int{}
		first := map[string]string{} // value to the first site that has it
		usual := ""
		for _, s := range sites {
			if !s.ok(fact) {
				continue
			}
			v := of(s.site.Facts)
			if count[v]++; count[v] == 1 {
				first[v] = s.site.Name
			}
			if s.site.at[fact].File == shared {
				count[v] += len(sites) // the stated rule beats a majority of exceptions
			}
			if count[v] > count[usual] {
				usual = v
			}
		}
		for _, s := range sites {
			if v := of(s.site.Facts); s.ok(fact) && v != usual {
				s.fail("mesh-fact-differs", s.site.at[fact], fmt.Sprintf("%s is %s here and %s at %s, but must be the same on all sites", fact, v, usual, first[usual]),
					"state it once, in "+shared)
			}
		}
	}
	agree("native_routing_cidr", func(f Facts) string { return f.NativeRoutingCIDR.String() })
	agree("mesh_max_clusters", func(f Facts) string { return fmt.Sprint(f.MeshMaxClusters) })
}

// unique asks for names, addresses and numbers that no two sites share.
func (l *loader) unique(sites []*inventory) {
	names, ids, apis := map[string]string{}, map[int]string{}, map[netip.Addr]string{}
	type owner struct{ site, node string }
	addresses := map[netip.Addr]owner{}
	for _, s := range sites {
		own, f := s.site.Name, s.site.Facts
		both := func(rule, other string, at finding.Position, message, fix string) {
			s.findings = append(s.findings, finding.Finding{
				Rule: rule, Severity: finding.Error, Position: at, Message: message, Fix: fix, Sites: []string{other, own},
			})
		}
		for i, n := range s.site.Nodes {
			if other, ok := names[n.Name]; ok && other != own {
				both("node-name-duplicate", other, n.Position, fmt.Sprintf("node %s is at site %s already", n.Name, other),
					"give every node of the fleet a name of its own, for example one that begins with "+own)
			} else {
				names[n.Name] = own
			}
			if !n.Address.IsValid() || s.misplaced[n.Name] {
				continue
			}
			if other, ok := addresses[n.Address]; ok {
				if other.node == n.Name {
					continue // the same node at two sites, which has its finding
				}
				where := ""
				if other.site != own {
					where = " of site " + other.site
				}
				both("node-address-duplicate", other.site, s.addresses[i], fmt.Sprintf("node %s has the address %s of node %s%s", n.Name, n.Address, other.node, where), "give every node an address of its own")
			} else {
				addresses[n.Address] = owner{own, n.Name}
			}
		}
		if s.ok("cluster_id") {
			if other, ok := ids[f.ClusterID]; ok {
				both("cluster-id-duplicate", other, s.site.at["cluster_id"], fmt.Sprintf("cluster_id %d is the number of site %s already", f.ClusterID, other), fmt.Sprintf("choose a number that is free, for example %d", free(sites)))
			} else {
				ids[f.ClusterID] = own
			}
			if s.ok("mesh_max_clusters") && f.ClusterID > f.MeshMaxClusters {
				s.fail("cluster-id-range", s.site.at["cluster_id"], fmt.Sprintf("cluster_id %d is above mesh_max_clusters %d", f.ClusterID, f.MeshMaxClusters), fmt.Sprintf("choose a number from 1 to %d", f.MeshMaxClusters))
			}
		}
		if s.ok("mesh_api_address") {
			if other, ok := apis[f.MeshAPIAddress]; ok {
				both("mesh-api-address-duplicate", other, s.site.at["mesh_api_address"], fmt.Sprintf("mesh_api_address %s is that of site %s already", f.MeshAPIAddress, other), "choose an address of the site's own load_balancer_ranges")
			} else {
				apis[f.MeshAPIAddress] = own
			}
		}
	}
	if len(sites) > 0 {
		if s := sites[0]; s.ok("mesh_max_clusters") && len(sites) > s.site.Facts.MeshMaxClusters {
			l.findings = append(l.findings, finding.Finding{
				Rule: "mesh-full", Severity: finding.Error, Position: s.site.at["mesh_max_clusters"],
				Message: fmt.Sprintf("the fleet has %d sites, but mesh_max_clusters is %d", len(sites), s.site.Facts.MeshMaxClusters),
				Fix:     "set mesh_max_clusters to 511 before any cluster is built, or split the fleet",
			})
		}
	}
}

// free returns the lowest cluster id that no site has.
func free(sites []*inventory) int {
	used := map[int]bool{}
	for _, s := range sites {
		used[s.site.Facts.ClusterID] = true
	}
	id := 1
	for used[id] {
		id++
	}
	return id
}
