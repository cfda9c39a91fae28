package check

import (
	"archipel/internal/finding"
)

func containerPrivileged() Rule {
	return Rule{
		ID: "container-privileged", Group: Workloads, Severity: finding.Error,
		Summary: "A container is privileged.",
		Reason: "It has every capability, every device and no seccomp or AppArmor profile: whoever breaks into it owns the node, and with the node's credentials all " +
			"that runs there. Even the baseline Pod Security Standard forbids it (https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline). " +
			"What else its security context says does not matter then, so no other rule repeats it.",
		Bad:    containerExample("securityContext:\n  privileged: true\n"),
		Good:   containerExample("securityContext:\n  allowPrivilegeEscalation: false\n"),
		Covers: []string{"kube-linter privileged-container", "kube-linter privilege-escalation-container", "trivy KSV-0017", "trivy KSV-0001", "trivy KSV-0003", "trivy KSV-0004", "trivy KSV-0030", "trivy KSV-0104", "trivy KSV-0106"},
		Site: eachContainer(func(_ *workload, c *container) *flaw {
			if !c.privileged() {
				return nil
			}
			return &flaw{[]string{"securityContext", "privileged"}, "set securityContext.privileged to false, and add the capabilities that it needs", "is privileged"}
		}),
	}
}
