package check

import (
	"archipel/internal/finding"
)

func procUnmasked() Rule {
	return Rule{
		ID: "proc-unmasked", Group: Workloads, Severity: finding.Error,
		Summary: "A container sees the whole of /proc.",
		Reason: "The runtime hides the parts with which a process changes the kernel, for example /proc/sys and /proc/sysrq-trigger; procMount: Unmasked shows them " +
			"(https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline).",
		Bad:    deploymentExample("", "hostUsers: false\n", "securityContext:\n  procMount: Unmasked\n"),
		Good:   containerExample("securityContext:\n  procMount: Default\n"),
		Covers: []string{"kube-linter unsafe-proc-mount", "trivy KSV-0027"},
		Site: eachContainer(func(_ *workload, c *container) *flaw {
			if mount := textAt(c.spec, "securityContext", "procMount"); mount == "" || mount == "Default" {
				return nil
			}
			return &flaw{[]string{"securityContext", "procMount"}, "leave out procMount", "sees the whole of /proc"}
		}),
	}
}
