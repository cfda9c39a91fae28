package check

import (
	"archipel/internal/finding"
)

func networkPolicyMissing() Rule {
	const policy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: whoami
  namespace: whoami
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
    - ports:
        - port: http
`
	return Rule{
		ID: "network-policy-missing", Group: Cluster, Severity: finding.Warning,
		Summary: "No network policy selects a pod: whoever reaches the pod network reaches it, on every port.",
		Reason: "The pod network joins all namespaces of all sites. A pod that is taken over can try every other one, the ports that nobody meant to offer included; once a policy selects a pod, it answers those alone that a policy names. " +
			"Pods on the network of their host are not asked about, because no NetworkPolicy reaches them, nor those of Jobs, which serve nobody (https://kubernetes.io/docs/concepts/services-networking/network-policies/, https://docs.cilium.io/en/stable/security/policy/; CIS 5.3.2).",
		Bad:    inWhoami(roleExample("apiGroups: [apps]\nresources: [deployments]\nverbs: [get]\n")),
		Good:   inWhoami(policy),
		Covers: []string{"kube-linter non-isolated-pod"},
		Site: func(s *Site) []finding.Finding {
			if s.incomplete() {
				return nil // a policy may be in what was not rendered
			}
			var found []finding.Finding
			for _, o := range s.Render.Objects {
				pod := podSpec(o)
				if pod == nil || o.GetKind() == "Job" || o.GetKind() == "CronJob" || isTrue(o.Object, append(pod, "hostNetwork")...) || s.isolated(o) {
					continue
				}
				found = append(found, s.concern(o, "", []string{"metadata", "name"}, "add a NetworkPolicy to namespace "+o.GetNamespace()+" that selects it and names who may reach which port",
					"no network policy of ingress selects the pods of %s", named(o)))
			}
			return found
		},
	}
}
