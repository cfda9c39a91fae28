package check

import "archipel/internal/finding"

func clusterIDDuplicate() Rule {
	return Rule{
		ID: "cluster-id-duplicate", Group: Network, Severity: finding.Error,
		Summary: "Two sites have the same number in the mesh.",
		Reason: "Identities of Cilium carry the number of their cluster: with the same number the workloads of one site get the rights " +
			"of the other (https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/#specify-the-cluster-name-and-id).",
		Bad:  factsWith("cluster_id: 2"),
		Good: factsWith("cluster_id: 3"),
	}
}
