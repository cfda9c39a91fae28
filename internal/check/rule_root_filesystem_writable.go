package check

import (
	"archipel/internal/finding"
)

func rootFilesystemWritable() Rule {
	return Rule{
		ID: "root-filesystem-writable", Group: Workloads, Severity: finding.Warning,
		Summary: "A container can write to its own root filesystem.",
		Reason: "Whoever breaks in can replace the program and bring tools along; with a read-only root, what is written is in volumes that are named " +
			"(https://kubernetes.io/docs/tasks/configure-pod-container/security-context/, CIS Kubernetes Benchmark 5.7.3).",
		Bad:    containerExample("securityContext:\n  allowPrivilegeEscalation: false\n"),
		Good:   containerExample("securityContext:\n  readOnlyRootFilesystem: true\n"),
		Covers: []string{"kube-linter no-read-only-root-fs", "trivy KSV-0014", "trivy KSV-0118"},
		Site: eachContainer(func(_ *workload, c *container) *flaw {
			if isTrue(c.spec, "securityContext", "readOnlyRootFilesystem") {
				return nil
			}
			return &flaw{[]string{"securityContext", "readOnlyRootFilesystem"}, "set securityContext.readOnlyRootFilesystem to true, with an emptyDir for what it writes", "can write to its root filesystem"}
		}),
	}
}
