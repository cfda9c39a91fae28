package check

import (
	"archipel/internal/finding"
)

func siteFileStale() Rule {
	return Rule{
		ID: "site-file-stale", Group: Layout, Severity: finding.Error,
		Summary: "A derived file is not what the inventories say.",
		Reason: "Flux runs the facts of clusters/<site>/site.yaml, Ansible those of the inventory: a site whose two differ is configured " +
			"half for one and half for the other. archipel site sync writes the file (docs/decisions/0004-derived-site-file.md).",
		Bad:  overlay("kubernetes/flux/clusters/site-a/site.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: site\n  namespace: flux-system\ndata:\n  cluster_id: \"7\"\n"),
		Good: "",
		Site: func(s *Site) []finding.Finding { return s.stale(false) },
	}
}
