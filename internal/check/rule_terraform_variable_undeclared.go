package check

import (
	"archipel/internal/finding"

	"github.com/hashicorp/hcl/v2"
)

func terraformVariableUndeclared() Rule {
	return Rule{
		ID: "terraform-variable-undeclared", Group: Terraform, Severity: finding.Error,
		Summary: "A .tf file uses a variable that its module does not declare.",
		Reason:  "terraform validate and plan fail (https://developer.hashicorp.com/terraform/language/values/variables).",
		Bad:     terraformExample(stateExample + "\nlocals {\n  name = var.name\n}\n"),
		Good:    terraformExample(stateExample + "\nvariable \"name\" {\n  type = string\n}\n\nlocals {\n  name = var.name\n}\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			for _, m := range f.modules() {
				if m.broken {
					continue
				}
				inputs := m.inputs()
				for _, c := range m.files {
					for _, traversal := range traversals(c.body) {
						if len(traversal) < 2 || traversal.RootName() != "var" {
							continue
						}
						step, ok := traversal[1].(hcl.TraverseAttr)
						if !ok {
							continue
						}
						if _, declared := inputs[step.Name]; !declared {
							found = append(found, problem(c.place(traversal.SourceRange()), "declare it in a variable block, or correct the name", "variable %s is not declared in %s", step.Name, m.dir))
						}
					}
				}
			}
			return found
		},
	}
}
