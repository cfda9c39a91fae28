package check

import (
	"archipel/internal/finding"
)

func siteClusterMissing() Rule {
	return Rule{
		ID: "site-cluster-missing", Group: Layout, Severity: finding.Error,
		Summary: "A site of the inventories has no folder for Flux.",
		Reason: "A site is a name that is present in every layer (docs/architecture.md, rules of the domain). Without " +
			"kubernetes/flux/clusters/<site> Flux has nothing to apply there.",
		Bad:  "remove: kubernetes/flux/clusters/site-b\n",
		Good: "",
		Fleet: func(f *Fleet) []finding.Finding {
			var findings []finding.Finding
			for _, site := range f.Fleet.Sites {
				if dir := clusters + "/" + site.Name; !f.HasDir(dir) {
					one := problem(finding.Position{File: inventories + "/" + site.Name}, "create "+dir+"/kustomization.yaml, then run archipel site sync", "the site %s has no folder %s", site.Name, dir)
					one.Sites = []string{site.Name}
					findings = append(findings, one)
				}
			}
			return findings
		},
	}
}
