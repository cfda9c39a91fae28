package check

import (
	"archipel/internal/finding"
)

func privilegeEscalationAllowed() Rule {
	return Rule{
		ID: "privilege-escalation-allowed", Group: Workloads, Severity: finding.Warning,
		Summary: "A container may gain more privileges than its first process has.",
		Reason: "Without allowPrivilegeEscalation: false the kernel still honours setuid programs, so a process that runs as nobody can become root. The restricted " +
			"Pod Security Standard asks for it (https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted).",
		Bad:    containerExample("securityContext:\n  runAsNonRoot: true\n"),
		Good:   containerExample("securityContext:\n  allowPrivilegeEscalation: false\n"),
		Covers: []string{"kube-linter privilege-escalation-container", "trivy KSV-0001"},
		Site: eachContainer(func(_ *workload, c *container) *flaw {
			if c.privileged() || valueAt(c.spec, "securityContext", "allowPrivilegeEscalation") == false {
				return nil
			}
			return &flaw{[]string{"securityContext", "allowPrivilegeEscalation"}, "set securityContext.allowPrivilegeEscalation to false", "may gain privileges"}
		}),
	}
}
