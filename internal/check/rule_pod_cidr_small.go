package check

import "archipel/internal/finding"

func podCIDRSmall() Rule {
	return Rule{
		ID: "pod-cidr-small", Group: Network, Severity: finding.Error,
		Summary: "The network of pods has no room for all nodes of the site.",
		Reason: "The controller manager gives every node a /24 of it (--node-cidr-mask-size, " +
			"https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/); a node that gets none " +
			"stays NotReady.",
		Bad:  factsWith("pod_cidr: 10.64.0.0/23"),
		Good: factsWith("pod_cidr: 10.64.0.0/22"),
	}
}
