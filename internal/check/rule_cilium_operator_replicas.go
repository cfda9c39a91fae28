package check

import (
	"archipel/internal/finding"
)

func ciliumOperatorReplicas() Rule {
	return Rule{
		ID: "cilium-operator-replicas", Group: Network, Severity: finding.Error,
		Summary: "Cilium's operator wants more replicas than the site has nodes.",
		Reason: "The operator takes a port of its host, so two never run on one node. The one too many stays pending, the release never becomes ready, and " +
			"everything that depends on it waits. The chart's default is 2 (cilium/cilium#30177).",
		Bad:  ciliumWith("operator:\n  replicas: 9\n"),
		Good: ciliumWith("operator:\n  replicas: 1\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			replicas, ok := intAt(c.values, "operator", "replicas")
			if !ok {
				replicas = 2 // the chart's default
			}
			if nodes := len(c.Site.Site.Nodes); int(replicas) > nodes {
				c.report("operator.replicas", "set it to no more than the number of nodes", "the operator wants %d replicas, but the site has %d nodes", replicas, nodes)
			}
		}),
	}
}
