package check

import (
	"archipel/internal/finding"
)

func ciliumMeshSizeDiffers() Rule {
	return Rule{
		ID: "cilium-mesh-size-differs", Group: Network, Severity: finding.Error,
		Summary: "Cilium reckons with another largest number of sites than the inventory says.",
		Reason: "The number decides how many bits of an identity name the site. Agents of two sizes misread each other's identities and refuse to connect, " +
			"and it is fixed once Cilium runs (https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/#prepare-the-clusters).",
		Bad:  ciliumWith("clustermesh:\n  maxConnectedClusters: 511\n"),
		Good: ciliumWith("clustermesh:\n  maxConnectedClusters: ${mesh_max_clusters}\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			size, ok := intAt(c.values, "clustermesh", "maxConnectedClusters")
			if !ok {
				size = 255 // the chart's default
			}
			if want := c.Site.Site.Facts.MeshMaxClusters; want > 0 && int(size) != want {
				c.report("clustermesh.maxConnectedClusters", "set it to ${mesh_max_clusters}", "clustermesh.maxConnectedClusters is %d, but mesh_max_clusters is %d", size, want)
			}
		}),
	}
}
