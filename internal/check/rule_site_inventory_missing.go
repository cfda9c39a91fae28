package check

import (
	"path"

	"archipel/internal/finding"
)

func siteInventoryMissing() Rule {
	return Rule{
		ID: "site-inventory-missing", Group: Layout, Severity: finding.Error,
		Summary: "A site of another layer has no inventory.",
		Reason: "The inventory is the only source of truth for nodes and facts (docs/architecture.md, rules of the domain). A folder " +
			"without one is a site that was removed half-way, or whose name is mistyped.",
		Bad:  overlay("kubernetes/flux/clusters/site-c/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n"),
		Good: "",
		Fleet: func(f *Fleet) []finding.Finding {
			var findings []finding.Finding
			for _, dir := range f.Dirs {
				above, name := path.Split(dir)
				if above != clusters+"/" && above != terraform+"/envs/" {
					continue
				}
				if _, ok := f.Fleet.Site(name); !ok {
					findings = append(findings, problem(finding.Position{File: dir}, "create "+inventories+"/"+name+", or remove this folder", "%s is no site: it has no inventory", name))
				}
			}
			return findings
		},
	}
}
