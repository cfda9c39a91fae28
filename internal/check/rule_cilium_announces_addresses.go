package check

import (
	"slices"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func ciliumAnnouncesAddresses() Rule {
	return Rule{
		ID: "cilium-announces-addresses", Group: Network, Severity: finding.Error,
		Summary: "Cilium hands out or announces service addresses although MetalLB does.",
		Reason: "Two that answer for one address send packets to two nodes in turns, and two that hand addresses out overwrite each other's status for ever. " +
			"MetalLB is the one (https://docs.cilium.io/en/stable/network/lb-ipam/).",
		Bad:  ciliumWith("l2announcements:\n  enabled: true\n"),
		Good: ciliumWith("l2announcements:\n  enabled: false\ndefaultLBServiceIPAM: none\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			if !slices.ContainsFunc(c.Render.Releases, func(r *render.Release) bool { return r.Chart.Name == "metallb" }) {
				return
			}
			for _, key := range []string{"l2announcements.enabled", "bgpControlPlane.enabled"} {
				if c.is(key, true) {
					c.report(key, "set it to false", "%s is true, but MetalLB announces the addresses of services", key)
				}
			}
			if !c.is("defaultLBServiceIPAM", "none") {
				c.report("defaultLBServiceIPAM", "set it to none", "defaultLBServiceIPAM is %s, but MetalLB hands out the addresses of services", c.shown("defaultLBServiceIPAM"))
			}
		}),
	}
}
