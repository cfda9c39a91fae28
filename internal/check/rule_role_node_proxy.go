package check

import (
	"archipel/internal/finding"
)

func roleNodeProxy() Rule {
	return Rule{
		ID: "role-node-proxy", Group: Cluster, Severity: finding.Error,
		Summary: "A role reaches the kubelets of nodes through nodes/proxy.",
		Reason: "The kubelet runs commands in every container of its node for whoever gets there, past admission and past the audit log of the API server; get is enough " +
			"(https://kubernetes.io/docs/concepts/security/rbac-good-practices/#access-to-proxy-subresource-of-nodes).",
		Bad:    inWhoami(roleExample("apiGroups: [\"\"]\nresources: [nodes/proxy]\nverbs: [get]\n")),
		Good:   inWhoami(roleExample("apiGroups: [\"\"]\nresources: [nodes/metrics]\nverbs: [get]\n")),
		Covers: []string{"trivy KSV-0047"},
		Site: grantRule("give nodes/metrics, nodes/stats, nodes/healthz or nodes/pods instead: kubelets tell them apart", func(g grant) string {
			if g.of("", "nodes/proxy") && len(g.verbs) > 0 {
				return "run commands on nodes through nodes/proxy"
			}
			return ""
		}),
	}
}
