package check

import (
	"archipel/internal/finding"
)

func ciliumPolicyScopeImplicit() Rule {
	return Rule{
		ID: "cilium-policy-scope-implicit", Group: Network, Severity: finding.Warning,
		Summary: "It is left to Cilium's version whether a policy that names no cluster means this one or all.",
		Reason: "The default of policyDefaultLocalCluster changed from false to true in 1.19: the same policy lets in other clusters before an upgrade and " +
			"not after it, and site by site while it rolls out (https://docs.cilium.io/en/stable/operations/upgrade/).",
		Bad:  ciliumWith("clustermesh:\n  useAPIServer: true\n"),
		Good: ciliumWith("clustermesh:\n  useAPIServer: true\n  policyDefaultLocalCluster: true\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			if c.is("clustermesh.policyDefaultLocalCluster", nil) {
				c.report("clustermesh.policyDefaultLocalCluster", "set it to true, or to false on purpose", "clustermesh.policyDefaultLocalCluster is not set, and its default depends on the version")
			}
		}),
	}
}
