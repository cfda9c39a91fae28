package check

import "archipel/internal/finding"

func nativeRoutingCIDRWide() Rule {
	return Rule{
		ID: "native-routing-cidr-wide", Group: Network, Severity: finding.Error,
		Summary: "The natively routed network overlaps the network of nodes or services of a site.",
		Reason: "Cilium does not masquerade what it sends into that network: traffic of pods to such nodes leaves with addresses that " +
			"nobody routes back (https://docs.cilium.io/en/stable/network/concepts/routing/#native-routing).",
		Bad:  factsWith("service_cidr: 10.100.0.0/16"),
		Good: factsWith("service_cidr: 10.128.0.0/16"),
	}
}
