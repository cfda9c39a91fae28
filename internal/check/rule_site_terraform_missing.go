package check

import (
	"archipel/internal/finding"
)

func siteTerraformMissing() Rule {
	return Rule{
		ID: "site-terraform-missing", Group: Layout, Severity: finding.Error,
		Summary: "A site has no environment of Terraform, but others do.",
		Reason: "A site is a name that is present in every layer (docs/architecture.md, rules of the domain); its machines would be made " +
			"by hand.",
		Bad:  overlay("kubernetes/terraform/envs/site-a/main.tf", "terraform {}\n"),
		Good: overlay("kubernetes/terraform/envs/site-a/main.tf", "terraform {}\n") + overlay("kubernetes/terraform/envs/site-b/main.tf", "terraform {}\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			if !f.HasDir(terraform + "/envs") {
				return nil // the layer is not in use
			}
			var findings []finding.Finding
			for _, site := range f.Fleet.Sites {
				if dir := terraform + "/envs/" + site.Name; !f.HasDir(dir) {
					one := problem(finding.Position{File: inventories + "/" + site.Name}, "create "+dir+" as the other sites have it", "the site %s has no folder %s", site.Name, dir)
					one.Sites = []string{site.Name}
					findings = append(findings, one)
				}
			}
			return findings
		},
	}
}
