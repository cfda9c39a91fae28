package check

import (
	"strconv"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func portSSH() Rule {
	return Rule{
		ID: "port-ssh", Group: Workloads, Severity: finding.Warning,
		Summary: "A container listens on port 22, or a Service sends to it.",
		Reason:  "A shell in a pod is a way in beside the API server, with accounts and logs that nobody looks at (https://kubernetes.io/docs/concepts/security/security-checklist/). Where it is meant, the baseline says why.",
		Bad:     containerExample("ports:\n  - containerPort: 22\n"),
		Good:    containerExample("ports:\n  - containerPort: 8080\n"),
		Covers:  []string{"kube-linter ssh-port"},
		Site: func(s *Site) []finding.Finding {
			const ssh = 22
			found := eachContainer(func(_ *workload, c *container) *flaw {
				for i, port := range listAt(c.spec, "ports") {
					if n, _ := intAt(port, "containerPort"); n == ssh {
						return &flaw{[]string{"ports", strconv.Itoa(i), "containerPort"}, "use kubectl exec instead, or another port for what is not SSH", "listens on port 22"}
					}
				}
				return nil
			})(s)
			return append(found, eachObject("", "Service", func(_ *Site, o *render.Object) *flaw {
				for i, port := range listAt(o.Object, "spec", "ports") {
					if n, _ := intAt(port, "targetPort"); n == ssh {
						return &flaw{[]string{"spec", "ports", strconv.Itoa(i), "targetPort"}, "use kubectl exec instead, or another port for what is not SSH", "sends to port 22"}
					}
				}
				return nil
			})(s)...)
		},
	}
}
