package check

import (
	"fmt"
	"strconv"

	"archipel/internal/finding"
)

func portPrivileged() Rule {
	return Rule{
		ID: "port-privileged", Group: Workloads, Severity: finding.Warning,
		Summary: "A container listens on a port below 1024.",
		Reason:  "It needs root or NET_BIND_SERVICE for it, and a Service can show any port outside whatever the container's is (https://kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports).",
		Bad:     containerExample("ports:\n  - containerPort: 80\n"),
		Good:    containerExample("ports:\n  - containerPort: 8080\n"),
		Covers:  []string{"kube-linter privileged-ports", "trivy KSV-0117"},
		Site: eachContainer(func(_ *workload, c *container) *flaw {
			for i, port := range listAt(c.spec, "ports") {
				if n, ok := intAt(port, "containerPort"); ok && n > 0 && n < 1024 {
					return &flaw{[]string{"ports", strconv.Itoa(i), "containerPort"}, "listen on a port from 1024, and let the Service translate", fmt.Sprintf("listens on port %d", n)}
				}
			}
			return nil
		}),
	}
}
