package check

import (
	"archipel/internal/finding"
)

func ciliumAPIServerUnset() Rule {
	return Rule{
		ID: "cilium-api-server-unset", Group: Network, Severity: finding.Error,
		Summary: "Cilium looks for the API server through a service that it has to provide itself.",
		Reason: "Without kube-proxy the address of service kubernetes works only once Cilium does, and Cilium starts by asking the API server. k3s has a load " +
			"balancer for its API on every node, at 127.0.0.1:6444, which needs no virtual address (cilium/cilium#19038; " +
			"https://docs.cilium.io/en/stable/network/kubernetes/kubeproxy-free/).",
		Bad:  ciliumWith("k8sServiceHost: 127.0.0.1\n"),
		Good: ciliumWith("k8sServiceHost: 127.0.0.1\nk8sServicePort: 6444\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			port, _ := intAt(c.values, "k8sServicePort")
			switch {
			case c.is("k8sServiceHost", nil) || c.is("k8sServiceHost", ""):
				c.report("k8sServiceHost", "set it to 127.0.0.1, and k8sServicePort to 6444", "k8sServiceHost is not set, so Cilium waits for a service that only Cilium provides")
			case c.is("k8sServiceHost", "127.0.0.1") && port != 6444 && !c.is("k8sServicePort", "6444"):
				c.report("k8sServicePort", "set it to 6444", "k8sServicePort is %s, but the load balancer of k3s listens at 6444", c.shown("k8sServicePort"))
			}
		}),
	}
}
