package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
)

func capabilityDangerous() Rule {
	return Rule{
		ID: "capability-dangerous", Group: Workloads, Severity: finding.Error,
		Summary: "A container adds a capability that is as good as root on the node.",
		Reason: "With SYS_ADMIN, SYS_MODULE, SYS_PTRACE, SYS_RAWIO, SYS_BOOT, DAC_READ_SEARCH, BPF, MAC_ADMIN, MAC_OVERRIDE or ALL a process leaves its container: it " +
			"mounts, loads kernel code, reads the memory or the files of others (https://man7.org/linux/man-pages/man7/capabilities.7.html, " +
			"https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline).",
		Bad:    containerExample("securityContext:\n  capabilities:\n    add: [SYS_ADMIN]\n"),
		Good:   containerExample("securityContext:\n  capabilities:\n    drop: [ALL]\n    add: [NET_BIND_SERVICE]\n"),
		Covers: []string{"kube-linter privilege-escalation-container", "trivy KSV-0005", "trivy KSV-0120", "trivy KSV-0022", "trivy KSV-0106"},
		Site: eachContainer(func(_ *workload, c *container) *flaw {
			added := slices.DeleteFunc(c.capabilities("add"), func(name string) bool { return !asRoot(name) })
			if c.privileged() || len(added) == 0 {
				return nil
			}
			return &flaw{[]string{"securityContext", "capabilities", "add"}, "leave out what it can do without", "adds " + strings.Join(added, ", ") + ", with which it can leave its container"}
		}),
	}
}

// asRoot says whether a capability is enough to leave a container.
func asRoot(capability string) bool {
	return slices.Contains([]string{"ALL", "BPF", "DAC_READ_SEARCH", "MAC_ADMIN", "MAC_OVERRIDE", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO"}, capability)
}
