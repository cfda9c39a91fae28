package check

import (
	"archipel/internal/finding"
)

func hostIPCShared() Rule {
	return Rule{
		ID: "host-ipc-shared", Group: Workloads, Severity: finding.Error,
		Summary: "A pod shares memory and semaphores with its node.",
		Reason:  "It reads and changes what the node's processes share (https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline, CIS Kubernetes Benchmark 5.2.4).",
		Bad:     podFieldsExample("hostIPC: true\n"),
		Good:    podFieldsExample("hostIPC: false\n"),
		Covers:  []string{"kube-linter host-ipc", "trivy KSV-0008"},
		Site: eachPod(func(_ *Site, w *workload) *flaw {
			if !isTrue(w.spec, "hostIPC") {
				return nil
			}
			return &flaw{[]string{"hostIPC"}, "leave out hostIPC", "shares memory with its node"}
		}),
	}
}
