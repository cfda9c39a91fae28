package check

import (
	"archipel/internal/finding"
)

func ciliumCertificatesHelm() Rule {
	return Rule{
		ID: "cilium-certificates-helm", Group: Network, Severity: finding.Error,
		Summary: "Helm makes Cilium's certificates, new ones at every render.",
		Reason: "The chart's method helm makes a CA and certificates whenever it is rendered. Flux renders at every interval, so it finds a difference each " +
			"time, replaces certificates that are in use, and sites stop trusting each other. cronJob makes them once and renews them in time " +
			"(https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/).",
		Bad:  ciliumWith("hubble:\n  enabled: true\nclustermesh:\n  useAPIServer: true\n"),
		Good: ciliumWith("hubble:\n  tls:\n    auto:\n      method: cronJob\nclustermesh:\n  useAPIServer: true\n  apiserver:\n    tls:\n      auto:\n        method: cronJob\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			for path, on := range map[string]bool{
				"hubble.tls.auto":                !c.is("hubble.enabled", false) && !c.is("hubble.tls.enabled", false),
				"clustermesh.apiserver.tls.auto": c.is("clustermesh.useAPIServer", true),
			} {
				if on && !c.is(path+".enabled", false) && (c.is(path+".method", nil) || c.is(path+".method", "helm")) {
					c.report(path+".method", "set it to cronJob", "%s.method is helm, which makes new certificates at every render", path)
				}
			}
		}),
	}
}
