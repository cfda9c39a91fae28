package check

import (
	"maps"
	"slices"

	"archipel/internal/finding"
)

func terraformInputMissing() Rule {
	return Rule{
		ID: "terraform-input-missing", Group: Terraform, Severity: finding.Error,
		Summary: "A module of the tree is not given an input that has no default.",
		Reason:  "terraform validate and plan fail (https://developer.hashicorp.com/terraform/language/values/variables#default-values).",
		Bad:     terraformExample(stateExample + "\nmodule \"network\" {\n  source = \"../../modules/network\"\n}\n"),
		Good:    terraformExample(stateExample + "\nmodule \"network\" {\n  source = \"../../modules/network\"\n  name   = \"site-a\"\n}\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			all := f.modules()
			for _, m := range all {
				for _, c := range m.calls(all) {
					if c.to == nil || c.to.broken {
						continue
					}
					inputs := c.to.inputs()
					for _, name := range slices.Sorted(maps.Keys(inputs)) {
						if _, given := c.block.Body.Attributes[name]; inputs[name] && !given {
							found = append(found, problem(m.place(c.block.DefRange()), "add "+name, "module %s is not given %s, which has no default", label(c.block), name))
						}
					}
				}
			}
			return found
		},
	}
}
