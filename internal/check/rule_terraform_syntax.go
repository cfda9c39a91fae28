package check

import (
	"slices"

	"archipel/internal/finding"
)

func terraformSyntax() Rule {
	return Rule{
		ID: "terraform-syntax", Group: Terraform, Severity: finding.Error,
		Summary: "A .tf file is not valid HCL.",
		Reason: "Terraform reads all files of a folder or none: no plan and no apply until it is corrected " +
			"(https://developer.hashicorp.com/terraform/language/syntax/configuration).",
		Bad:  terraformExample("terraform {\n"),
		Good: terraformExample(stateExample),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			for _, c := range slices.Concat(f.configurations(), f.settings()) {
				found = append(found, c.broken...)
			}
			return found
		},
	}
}
