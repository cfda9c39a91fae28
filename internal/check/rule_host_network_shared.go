package check

import (
	"archipel/internal/finding"
)

func hostNetworkShared() Rule {
	return Rule{
		ID: "host-network-shared", Group: Workloads, Severity: finding.Error,
		Summary: "A pod is in the network of its node.",
		Reason: "It reaches what listens on the node's loopback address, may listen on the node's addresses, sees the node's traffic, and no network policy holds for it " +
			"(https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline, CIS Kubernetes Benchmark 5.2.5). Its ports are the node's, so no other rule repeats them.",
		Bad:    podFieldsExample("hostNetwork: true\n"),
		Good:   podFieldsExample("hostNetwork: false\n"),
		Covers: []string{"kube-linter host-network", "trivy KSV-0009", "trivy KSV-0024"},
		Site: eachPod(func(_ *Site, w *workload) *flaw {
			if !isTrue(w.spec, "hostNetwork") {
				return nil
			}
			return &flaw{[]string{"hostNetwork"}, "leave out hostNetwork", "is in the network of its node"}
		}),
	}
}
