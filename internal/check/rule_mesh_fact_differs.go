package check

import "archipel/internal/finding"

func meshFactDiffers() Rule {
	return Rule{
		ID: "mesh-fact-differs", Group: Network, Severity: finding.Error,
		Summary: "A fact that the mesh needs equal on all sites differs at one.",
		Reason: "Cilium refuses to join clusters with another maxConnectedClusters; with another native routing network one site " +
			"masquerades what the other routes (https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/#prerequisites).",
		Bad:  factsWith("mesh_max_clusters: 511"),
		Good: factsWith("mesh_max_clusters: 255"),
	}
}
