package check

import (
	"archipel/internal/finding"
)

func seccompMissing() Rule {
	return Rule{
		ID: "seccomp-missing", Group: Workloads, Severity: finding.Warning,
		Summary: "A container runs without a seccomp profile.",
		Reason: "Without one it may call all of the kernel, also what is old and rarely tried; most ways out of a container begin there. The restricted Pod Security Standard " +
			"asks for RuntimeDefault or a profile of one's own (https://kubernetes.io/docs/tutorials/security/seccomp/).",
		Bad:    podFieldsExample("securityContext:\n  seccompProfile:\n    type: Unconfined\n"),
		Good:   podFieldsExample("securityContext:\n  seccompProfile:\n    type: RuntimeDefault\n"),
		Covers: []string{"trivy KSV-0030", "trivy KSV-0104", "trivy KSV-0118"},
		Site: eachContainer(func(w *workload, c *container) *flaw {
			profile, _ := w.secured(c, "seccompProfile", "type").(string)
			if c.privileged() || profile == "RuntimeDefault" || profile == "Localhost" {
				return nil
			}
			f := &flaw{[]string{"securityContext", "seccompProfile", "type"}, "set securityContext.seccompProfile.type to RuntimeDefault", "has no seccomp profile"}
			if profile != "" {
				f.says = "has the seccomp profile " + profile
			}
			return f
		}),
	}
}
