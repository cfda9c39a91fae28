package check

import (
	"strconv"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func networkPolicyDangling() Rule {
	return Rule{
		ID: "network-policy-dangling", Group: Workloads, Severity: finding.Warning,
		Summary: "A NetworkPolicy selects pods that nothing makes, or lets in pods that there are none of.",
		Reason: "What it should protect is open, or what it should let in is shut out, and nothing says so (https://kubernetes.io/docs/concepts/services-networking/network-policies/). Selectors over " +
			"namespaces, and policies of the charts of others, are not looked at.",
		Bad:    policyExample("app: other"),
		Good:   policyExample("app: example"),
		Covers: []string{"kube-linter dangling-networkpolicy", "kube-linter dangling-networkpolicypeer-podselector"},
		Site: eachObject("networking.k8s.io", "NetworkPolicy", func(s *Site, o *render.Object) *flaw {
			if s.operated(o) {
				return nil
			}
			if selector := mapAt(o.Object, "spec", "podSelector"); len(selector) > 0 && !s.selects(selector, o.GetNamespace()) {
				return &flaw{[]string{"spec", "podSelector"}, "select labels of a pod template in the same namespace", "selects pods that nothing in its namespace makes"}
			}
			for rules, peers := range map[string]string{"egress": "to", "ingress": "from"} {
				for i, rule := range listAt(o.Object, "spec", rules) {
					for j, peer := range listAt(rule, peers) {
						selector := mapAt(peer, "podSelector")
						if len(selector) > 0 && valueAt(peer, "namespaceSelector") == nil && !s.selects(selector, o.GetNamespace()) {
							return &flaw{[]string{"spec", rules, strconv.Itoa(i), peers, strconv.Itoa(j), "podSelector"}, "select labels of a pod template in the same namespace", "names peers that nothing in its namespace makes"}
						}
					}
				}
			}
			return nil
		}),
	}
}

// policyExample is an example: a Deployment and a NetworkPolicy that selects a label.
func policyExample(label string) string {
	return containerExample("") + `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: example
  namespace: whoami
spec:
  podSelector:
    matchLabels:
      ` + label + `
  policyTypes: [Ingress]
`
}
