package check

import (
	"archipel/internal/finding"
)

func terraformModuleMissing() Rule {
	return Rule{
		ID: "terraform-module-missing", Group: Terraform, Severity: finding.Error,
		Summary: "A module block refers to a folder without .tf files.",
		Reason:  "terraform init fails (https://developer.hashicorp.com/terraform/language/modules/sources#local-paths).",
		Bad:     terraformExample(stateExample + "\nmodule \"network\" {\n  source = \"../../modules/netwrok\"\n  name   = \"site-a\"\n}\n"),
		Good:    terraformExample(stateExample + "\nmodule \"network\" {\n  source = \"../../modules/network\"\n  name   = \"site-a\"\n}\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			all := f.modules()
			for _, m := range all {
				for _, c := range m.calls(all) {
					if c.to == nil {
						found = append(found, problem(m.place(c.source.Expr.Range()), "name a folder with .tf files", "module %s refers to %s, which holds no .tf file", label(c.block), c.dir))
					}
				}
			}
			return found
		},
	}
}
