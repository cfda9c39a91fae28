package check

import (
	"fmt"
	"strconv"

	"archipel/internal/finding"
)

func hostPortUsed() Rule {
	return Rule{
		ID: "host-port-used", Group: Workloads, Severity: finding.Warning,
		Summary: "A container takes a port of its node.",
		Reason: "It is open on all addresses of the node, past Services and load balancers, and only one such pod fits on a node " +
			"(https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline).",
		Bad:    containerExample("ports:\n  - containerPort: 8080\n    hostPort: 8080\n"),
		Good:   containerExample("ports:\n  - containerPort: 8080\n"),
		Covers: []string{"trivy KSV-0024"},
		Site: eachContainer(func(w *workload, c *container) *flaw {
			if isTrue(w.spec, "hostNetwork") {
				return nil // all its ports are the node's
			}
			for i, port := range listAt(c.spec, "ports") {
				if n, ok := intAt(port, "hostPort"); ok && n > 0 {
					return &flaw{[]string{"ports", strconv.Itoa(i), "hostPort"}, "leave out hostPort, and make a Service", fmt.Sprintf("takes port %d of its node", n)}
				}
			}
			return nil
		}),
	}
}
