package check

import "archipel/internal/finding"

func cidrOverlap() Rule {
	return Rule{
		ID: "cidr-overlap", Group: Network, Severity: finding.Error,
		Summary: "Networks of nodes, pods or services share addresses, in one site or between sites.",
		Reason: "Pods of all sites reach one another by their own addresses, so that an address may stand for one pod only " +
			"(https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/#prerequisites).",
		Bad:  factsWith("pod_cidr: 10.65.0.0/16"),
		Good: factsWith("pod_cidr: 10.66.0.0/16"),
	}
}
