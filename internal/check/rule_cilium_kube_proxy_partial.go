package check

import (
	"archipel/internal/finding"
)

func ciliumKubeProxyPartial() Rule {
	return Rule{
		ID: "cilium-kube-proxy-partial", Group: Network, Severity: finding.Error,
		Summary: "Cilium does not replace kube-proxy in full.",
		Reason: "k3s runs with disable-kube-proxy, so what Cilium does not do nobody does: services have no addresses. The old value strict is gone; true " +
			"means what it meant (Cilium's chart, kubeProxyReplacement; https://docs.cilium.io/en/stable/network/kubernetes/kubeproxy-free/).",
		Bad:  ciliumWith("kubeProxyReplacement: strict\n"),
		Good: ciliumWith("kubeProxyReplacement: true\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			if !c.is("kubeProxyReplacement", true) && !c.is("kubeProxyReplacement", "true") {
				c.report("kubeProxyReplacement", "set it to true", "kubeProxyReplacement is %s, and no kube-proxy runs on these nodes", c.shown("kubeProxyReplacement"))
			}
		}),
	}
}
