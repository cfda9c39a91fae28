package check

import (
	"archipel/internal/finding"
)

func ciliumNativeCIDRDiffers() Rule {
	return Rule{
		ID: "cilium-native-cidr-differs", Group: Network, Severity: finding.Error,
		Summary: "Cilium's native routing network is not the fleet's.",
		Reason: "Cilium hides a pod's address behind its node's for every destination outside of this network. When it does not hold the pods of all sites, " +
			"other sites see nodes instead of pods, and policies no longer match; when it is too wide, answers from outside never come back " +
			"(https://docs.cilium.io/en/stable/network/concepts/masquerading/).",
		Bad:  ciliumWith("ipv4NativeRoutingCIDR: 10.0.0.0/8\n"),
		Good: ciliumWith("ipv4NativeRoutingCIDR: ${native_routing_cidr}\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			if want := c.Site.Site.Facts.NativeRoutingCIDR; want.IsValid() && !c.is("ipv4NativeRoutingCIDR", want.String()) {
				c.report("ipv4NativeRoutingCIDR", "set it to ${native_routing_cidr}", "ipv4NativeRoutingCIDR is %s, but native_routing_cidr is %s", c.shown("ipv4NativeRoutingCIDR"), want)
			}
		}),
	}
}
