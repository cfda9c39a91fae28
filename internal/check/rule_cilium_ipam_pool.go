package check

import (
	"archipel/internal/finding"
)

func ciliumIPAMPool() Rule {
	return Rule{
		ID: "cilium-ipam-pool", Group: Network, Severity: finding.Error,
		Summary: "Cilium gives pods addresses of its own choice instead of those of the site's pod_cidr.",
		Reason: "By default Cilium takes networks for pods from 10.0.0.0/8, at every site the same ones, and not those that the inventory says, that gateways " +
			"route and that other sites know. With ipam.mode kubernetes it takes what k3s gave each node from cluster-cidr (cilium/cilium#13766; " +
			"https://docs.cilium.io/en/stable/network/concepts/ipam/kubernetes/).",
		Bad:  ciliumWith("ipam:\n  mode: cluster-pool\n"),
		Good: ciliumWith("ipam:\n  mode: kubernetes\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			if !c.is("ipam.mode", "kubernetes") {
				c.report("ipam.mode", "set it to kubernetes", "ipam.mode is %s", c.shown("ipam.mode"))
			}
		}),
	}
}
