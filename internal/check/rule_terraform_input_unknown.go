package check

import (
	"maps"
	"slices"
	"strings"

	"archipel/internal/finding"
)

func terraformInputUnknown() Rule {
	return Rule{
		ID: "terraform-input-unknown", Group: Terraform, Severity: finding.Error,
		Summary: "A module of the tree is given an input that it does not declare.",
		Reason:  "terraform validate and plan fail (https://developer.hashicorp.com/terraform/language/modules/syntax#calling-a-child-module).",
		Bad:     terraformExample(stateExample + "\nmodule \"network\" {\n  source = \"../../modules/network\"\n  name   = \"site-a\"\n  cdir   = \"198.51.100.0/24\"\n}\n"),
		Good:    terraformExample(stateExample + "\nmodule \"network\" {\n  source = \"../../modules/network\"\n  name   = \"site-a\"\n  cidr   = \"198.51.100.0/24\"\n}\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			all := f.modules()
			for _, m := range all {
				for _, c := range m.calls(all) {
					if c.to == nil || c.to.broken {
						continue
					}
					inputs := c.to.inputs()
					for name, a := range c.block.Body.Attributes {
						if _, known := inputs[name]; !known && !slices.Contains([]string{"source", "version", "providers", "count", "for_each", "depends_on"}, name) {
							found = append(found, problem(m.place(a.NameRange), "use one of "+strings.Join(slices.Sorted(maps.Keys(inputs)), ", "),
								"module %s has no input %s", label(c.block), name))
						}
					}
				}
			}
			return found
		},
	}
}
