// Package hosts makes the nodes of a fleet on this machine: containers with
// systemd and sshd, in a network of their own that has a router between sites.
package hosts

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	"archipel/internal/fleet"
)

// Site is one site as the lab lays it out.
type Site struct {
	Name       string
	Network    netip.Prefix
	Router     netip.Addr // the way to the other sites, and the default gateway
	Controller netip.Addr // where archipel runs, and what answers the production URLs
	Hosts      []Host

	ID int // of the cluster: Linux allows 15 bytes for the name of a link, and any site fits
}

// Host is one node.
type Host struct {
	Name      string
	Address   netip.Addr
	Interface string // that carries the address
}

// Plan lays out the sites of a fleet. The router of a site takes the last usable
// address of its network that is not in use, the controller the one before.
func Plan(f *fleet.Fleet) ([]Site, error) {
	var sites []Site
	for _, s := range f.Sites {
		site := Site{Name: s.Name, Network: s.Facts.NodeCIDR, ID: s.Facts.ClusterID}
		for _, node := range s.Nodes {
			if node.SSHHost != node.Address.String() {
				return nil, fmt.Errorf("node %s is reached at %s and has the address %s: in a lab with hosts both must be the same address",
					node.Name, node.SSHHost, node.Address)
			}
			site.Hosts = append(site.Hosts, Host{Name: node.Name, Address: node.Address, Interface: s.Facts.NodeInterface})
		}
		free := freeAddresses(s, 2)
		if len(free) < 2 {
			return nil, fmt.Errorf("the node network %s of %s has no two free addresses, which a lab with hosts needs for its router and itself",
				s.Facts.NodeCIDR, s.Name)
		}
		site.Router, site.Controller = free[0], free[1]
		sites = append(sites, site)
	}
	return sites, nil
}

// freeAddresses returns addresses of the site's network that nobody uses, the
// last ones first, at most n.
func freeAddresses(s *fleet.Site, n int) []netip.Addr {
	used := func(a netip.Addr) bool {
		return slices.ContainsFunc(s.Nodes, func(node fleet.Node) bool { return node.Address == a }) ||
			slices.ContainsFunc(s.Facts.LoadBalancerRanges, func(r fleet.Range) bool { return r.Contains(a) })
	}
	network := s.Facts.NodeCIDR.Masked()
	var free []netip.Addr
	// The last address is the broadcast's, the first the network's.
	for a := broadcast(network).Prev(); len(free) < n && network.Contains(a) && a != network.Addr(); a = a.Prev() {
		if !used(a) {
			free = append(free, a)
		}
	}
	return free
}

func broadcast(network netip.Prefix) netip.Addr {
	bytes := network.Addr().As4()
	for bit := network.Bits(); bit < 32; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(bytes)
}

// bridge is the name of the site's switch, and of the router's port in it.
func (s Site) bridge() string { return fmt.Sprintf("site%d", s.ID) }

func (s Site) onNetwork(a netip.Addr) string { return netip.PrefixFrom(a, s.Network.Bits()).String() }

// link is the name of the host's port in the switch of its site.
func (h Host) link() string {
	address := h.Address.As4()
	return "host" + hex.EncodeToString(address[:])
}

// Find returns the host of a name, and its site.
func Find(sites []Site, name string) (Site, Host, bool) {
	for _, s := range sites {
		for _, h := range s.Hosts {
			if h.Name == name {
				return s, h, true
			}
		}
	}
	return Site{}, Host{}, false
}
