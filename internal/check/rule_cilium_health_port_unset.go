package check

import (
	"archipel/internal/finding"
)

func ciliumHealthPortUnset() Rule {
	return Rule{
		ID: "cilium-health-port-unset", Group: Network, Severity: finding.Warning,
		Summary: "Nothing tells the load balancers outside whether a node serves, or that a kube-proxy still runs.",
		Reason: "kube-proxy answers at port 10256, and so does Cilium when it replaces it and is told to. As a second use the agent stops where the port is " +
			"taken: a kube-proxy that was forgotten shows at once " +
			"(https://docs.cilium.io/en/stable/network/kubernetes/kubeproxy-free/#kube-proxy-hybrid-modes).",
		Bad:  ciliumWith("kubeProxyReplacement: true\n"),
		Good: ciliumWith("kubeProxyReplacementHealthzBindAddr: 0.0.0.0:10256\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			if c.is("kubeProxyReplacementHealthzBindAddr", nil) || c.is("kubeProxyReplacementHealthzBindAddr", "") {
				c.report("kubeProxyReplacementHealthzBindAddr", "set it to 0.0.0.0:10256", "kubeProxyReplacementHealthzBindAddr is not set")
			}
		}),
	}
}
