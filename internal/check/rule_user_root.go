package check

import (
	"archipel/internal/finding"
)

func userRoot() Rule {
	return Rule{
		ID: "user-root", Group: Workloads, Severity: finding.Warning,
		Summary: "A container runs as root, or nothing keeps its image from doing so.",
		Reason: "A process that escapes is on the node who it was in the container. With runAsNonRoot the kubelet refuses an image that wants root, whatever a new version of " +
			"it does (https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, https://kubernetes.io/docs/tasks/configure-pod-container/security-context/).",
		Bad:    containerExample("securityContext:\n  allowPrivilegeEscalation: false\n"),
		Good:   podFieldsExample("securityContext:\n  runAsNonRoot: true\n"),
		Covers: []string{"kube-linter run-as-non-root", "trivy KSV-0012", "trivy KSV-0105", "trivy KSV-0118"},
		Site: eachContainer(func(w *workload, c *container) *flaw {
			user := w.secured(c, "runAsUser")
			id, set := intAt(user)
			switch {
			case set && id == 0:
				return &flaw{[]string{"securityContext", "runAsUser"}, "set securityContext.runAsNonRoot to true, and runAsUser to a number above 0", "runs as root"}
			case w.secured(c, "runAsNonRoot") == true || set:
				return nil
			}
			return &flaw{[]string{"securityContext", "runAsNonRoot"}, "set securityContext.runAsNonRoot to true, and runAsUser where the image names no number", "may run as root"}
		}),
	}
}
