package check

import (
	"archipel/internal/finding"
)

func nodeAddressEdge() Rule {
	return Rule{
		ID: "node-address-edge", Group: Network, Severity: finding.Error,
		Summary: "The address of a node is the first or the last of its network.",
		Reason: "The first address names the network and the last is its broadcast address (RFC 1122, section 3.2.1.3): no host may have " +
			"them.",
		Bad:  hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.255\n"),
		Good: "",
		Fleet: func(f *Fleet) []finding.Finding {
			var findings []finding.Finding
			for _, site := range f.Sites {
				network := site.Facts.NodeCIDR
				if !network.IsValid() || network.Bits() > 30 { // smaller networks have no such addresses (RFC 3021)
					continue
				}
				for _, node := range site.Nodes {
					if node.Address == network.Masked().Addr() || node.Address == lastOf(network) {
						one := problem(node.Position, "give it another address", "node %s has the address %s, an end of node_cidr %s", node.Name, node.Address, network)
						one.Sites = []string{site.Name}
						findings = append(findings, one)
					}
				}
			}
			return findings
		},
	}
}
