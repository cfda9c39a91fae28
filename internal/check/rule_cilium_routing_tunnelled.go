package check

import (
	"archipel/internal/finding"
)

func ciliumRoutingTunnelled() Rule {
	return Rule{
		ID: "cilium-routing-tunnelled", Group: Network, Severity: finding.Error,
		Summary: "Cilium tunnels between nodes instead of routing.",
		Reason: "The networks of pods are routed from site to site, on the nodes and through the gateways. A tunnel hides the pods' addresses from those " +
			"routes, costs 50 bytes of every packet, and a mesh with tunnels at one site and routes at another carries nothing " +
			"(https://docs.cilium.io/en/stable/network/concepts/routing/#native-routing).",
		Bad:  ciliumWith("routingMode: tunnel\n"),
		Good: ciliumWith("routingMode: native\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			if !c.is("routingMode", "native") {
				c.report("routingMode", "set it to native", "routingMode is %s", c.shown("routingMode"))
			}
		}),
	}
}
