package check

import (
	"archipel/internal/finding"
)

func hostPIDShared() Rule {
	return Rule{
		ID: "host-pid-shared", Group: Workloads, Severity: finding.Error,
		Summary: "A pod sees the processes of its node.",
		Reason: "It reads their environment and their files under /proc, and with ptrace their memory (https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline, " +
			"CIS Kubernetes Benchmark 5.2.3).",
		Bad:    podFieldsExample("hostPID: true\n"),
		Good:   podFieldsExample("hostPID: false\n"),
		Covers: []string{"kube-linter host-pid", "trivy KSV-0010"},
		Site: eachPod(func(_ *Site, w *workload) *flaw {
			if !isTrue(w.spec, "hostPID") {
				return nil
			}
			return &flaw{[]string{"hostPID"}, "leave out hostPID", "sees the processes of its node"}
		}),
	}
}
