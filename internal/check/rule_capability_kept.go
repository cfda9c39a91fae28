package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
)

func capabilityKept() Rule {
	return Rule{
		ID: "capability-kept", Group: Workloads, Severity: finding.Warning,
		Summary: "A container does not drop all capabilities.",
		Reason: "A container runtime gives 14 of them to whoever does not refuse, NET_RAW among them, with which a pod forges the packets of others. The restricted " +
			"Pod Security Standard asks to drop ALL and to add what is needed (https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted).",
		Bad:    containerExample("securityContext:\n  runAsNonRoot: true\n"),
		Good:   containerExample("securityContext:\n  capabilities:\n    drop: [ALL]\n"),
		Covers: []string{"kube-linter drop-net-raw-capability", "trivy KSV-0003", "trivy KSV-0004", "trivy KSV-0106"},
		Site: eachContainer(func(_ *workload, c *container) *flaw {
			if c.privileged() || slices.ContainsFunc(c.capabilities("drop"), func(name string) bool { return strings.EqualFold(name, "ALL") }) {
				return nil
			}
			return &flaw{[]string{"securityContext", "capabilities", "drop"}, "set securityContext.capabilities.drop to [ALL]", "keeps the capabilities that the runtime gives"}
		}),
	}
}
