package check

import (
	"archipel/internal/finding"
)

func ciliumIdentityDiffers() Rule {
	return Rule{
		ID: "cilium-identity-differs", Group: Network, Severity: finding.Error,
		Summary: "Cilium's cluster name or id is not the site's.",
		Reason: "The mesh knows a site by these two, and the peers that archipel derives use the site's name and cluster_id. Two sites with one id drop each " +
			"other's packets, and changing an id restarts every workload " +
			"(https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/#prepare-the-clusters).",
		Bad:  ciliumWith("cluster:\n  name: default\n  id: ${cluster_id}\n"),
		Good: ciliumWith("cluster:\n  name: ${site_name}\n  id: ${cluster_id}\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			if name := c.Site.Site.Name; !c.is("cluster.name", name) {
				c.report("cluster.name", "set it to ${site_name}", "cluster.name is %s, but the site is %s", c.shown("cluster.name"), name)
			}
			want := c.Site.Site.Facts.ClusterID
			if id, ok := intAt(c.values, "cluster", "id"); want > 0 && (!ok || int(id) != want) {
				c.report("cluster.id", "set it to ${cluster_id}", "cluster.id is %s, but cluster_id is %d", c.shown("cluster.id"), want)
			}
		}),
	}
}
