package check

import (
	"archipel/internal/finding"
)

func meshPeersStale() Rule {
	return Rule{
		ID: "mesh-peers-stale", Group: Layout, Severity: finding.Error,
		Summary: "The derived file of a site does not name the other sites of the mesh as the inventories do.",
		Reason: "The other sites join the mesh, and this one does not answer them, or looks for them where they were. archipel site sync " +
			"writes the file (docs/decisions/0004-derived-site-file.md).",
		Bad:  "stale: kubernetes/flux/clusters/site-a/site.yaml\n",
		Good: "",
		Site: func(s *Site) []finding.Finding { return s.stale(true) },
	}
}
