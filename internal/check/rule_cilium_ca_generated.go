package check

import (
	"archipel/internal/finding"
)

func ciliumCaGenerated() Rule {
	return Rule{
		ID: "cilium-ca-generated", Group: Network, Severity: finding.Error,
		Summary: "Cilium makes a certificate authority of its own at this site.",
		Reason: "The certificates of all sites come from one CA, which Git holds encrypted (Secret kube-system/cilium-ca). A site that generates its own is " +
			"trusted by nobody else, and the mesh splits (Cilium's chart, certgen.generateCA; " +
			"https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/#shared-certificate-authority).",
		Bad:  ciliumWith("clustermesh:\n  useAPIServer: true\n"),
		Good: ciliumWith("clustermesh:\n  useAPIServer: true\ncertgen:\n  generateCA: false\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			if c.is("clustermesh.useAPIServer", true) && !c.is("certgen.generateCA", false) {
				c.report("certgen.generateCA", "set it to false", "certgen.generateCA is %s, so this site makes a CA that no other trusts", c.shown("certgen.generateCA"))
			}
		}),
	}
}
