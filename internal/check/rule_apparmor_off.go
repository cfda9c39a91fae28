package check

import (
	"archipel/internal/finding"
)

func apparmorOff() Rule {
	return Rule{
		ID: "apparmor-off", Group: Workloads, Severity: finding.Warning,
		Summary: "A container asks for no AppArmor profile.",
		Reason: "The runtime's own profile keeps containers from mounting and from writing to /proc and /sys. The baseline Pod Security Standard forbids Unconfined " +
			"(https://kubernetes.io/docs/tutorials/security/apparmor/).",
		Bad:    podFieldsExample("securityContext:\n  appArmorProfile:\n    type: Unconfined\n"),
		Good:   podFieldsExample("securityContext:\n  appArmorProfile:\n    type: RuntimeDefault\n"),
		Covers: []string{"trivy KSV-0002"},
		Site: eachContainer(func(w *workload, c *container) *flaw {
			annotations := mapAt(w.Object.Object, at(w.pod[:len(w.pod)-1], "metadata", "annotations")...)
			if c.privileged() || w.secured(c, "appArmorProfile", "type") != "Unconfined" && annotations["container.apparmor.security.beta.kubernetes.io/"+c.name] != "unconfined" {
				return nil
			}
			return &flaw{[]string{"securityContext", "appArmorProfile", "type"}, "set securityContext.appArmorProfile.type to RuntimeDefault", "has no AppArmor profile"}
		}),
	}
}
