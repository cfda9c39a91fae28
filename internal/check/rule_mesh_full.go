package check

import "archipel/internal/finding"

func meshFull() Rule {
	return Rule{
		ID: "mesh-full", Group: Network, Severity: finding.Error,
		Summary: "The fleet has more sites than its mesh can hold.",
		Reason: "A Cilium mesh holds 255 clusters, or 511 when all were built so; the number cannot change while Cilium runs " +
			"(https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/#cluster-size).",
		Bad:  manySites(254),
		Good: factsWith(""),
	}
}
