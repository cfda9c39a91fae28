package check

import (
	"archipel/internal/finding"
)

func ciliumDirectRoutesOff() Rule {
	return Rule{
		ID: "cilium-direct-routes-off", Group: Network, Severity: finding.Error,
		Summary: "Cilium does not install the routes between the nodes of a site, or gives up over those of other sites.",
		Reason: "With native routing somebody has to route the pods' networks. autoDirectNodeRoutes does inside one network; without " +
			"directRoutingSkipUnreachable the agent then fails over the nodes of other sites, which it cannot reach directly (cilium/cilium#26588; " +
			"https://docs.cilium.io/en/stable/network/concepts/routing/#native-routing).",
		Bad:  ciliumWith("autoDirectNodeRoutes: true\n"),
		Good: ciliumWith("autoDirectNodeRoutes: true\ndirectRoutingSkipUnreachable: true\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			for _, key := range []string{"autoDirectNodeRoutes", "directRoutingSkipUnreachable"} {
				if !c.is(key, true) {
					c.report(key, "set it to true", "%s is %s", key, c.shown(key))
				}
			}
		}),
	}
}
