package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
)

func capabilityAdded() Rule {
	return Rule{
		ID: "capability-added", Group: Workloads, Severity: finding.Warning,
		Summary: "A container adds capabilities other than NET_BIND_SERVICE.",
		Reason: "Each is a part of root: NET_RAW forges packets, NET_ADMIN changes the routes, CHOWN takes files. The restricted Pod Security Standard allows " +
			"NET_BIND_SERVICE alone (https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted). What is as good as root is capability-dangerous.",
		Bad:    containerExample("securityContext:\n  capabilities:\n    drop: [ALL]\n    add: [NET_RAW]\n"),
		Good:   containerExample("securityContext:\n  capabilities:\n    drop: [ALL]\n    add: [NET_BIND_SERVICE]\n"),
		Covers: []string{"trivy KSV-0022", "trivy KSV-0106", "trivy KSV-0119"},
		Site: eachContainer(func(_ *workload, c *container) *flaw {
			added := slices.DeleteFunc(c.capabilities("add"), func(name string) bool { return name == "NET_BIND_SERVICE" || asRoot(name) })
			if c.privileged() || len(added) == 0 {
				return nil
			}
			return &flaw{[]string{"securityContext", "capabilities", "add"}, "leave out what it can do without", "adds " + strings.Join(added, ", ")}
		}),
	}
}
