package check

import "archipel/internal/finding"

func podCIDRUnrouted() Rule {
	return Rule{
		ID: "pod-cidr-unrouted", Group: Network, Severity: finding.Error,
		Summary: "The network of pods is not inside native_routing_cidr.",
		Reason: "Cilium masquerades what leaves that network, so that pods of another site see the address of a node " +
			"(https://docs.cilium.io/en/stable/network/concepts/masquerading/).",
		Bad:  factsWith("pod_cidr: 10.200.0.0/16"),
		Good: factsWith("pod_cidr: 10.66.0.0/16"),
	}
}
