package check

import "archipel/internal/finding"

func clusterIDRange() Rule {
	return Rule{
		ID: "cluster-id-range", Group: Network, Severity: finding.Error,
		Summary: "The number of a site is above what the mesh can hold.",
		Reason: "The number takes 8 or 9 bits of an identity, as maxConnectedClusters says " +
			"(https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/#cluster-size).",
		Bad:  factsWith("cluster_id: 300"),
		Good: factsWith("cluster_id: 200"),
	}
}
