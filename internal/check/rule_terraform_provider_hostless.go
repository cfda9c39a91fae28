package check

import (
	"strings"

	"archipel/internal/finding"

	"github.com/zclconf/go-cty/cty"
)

func terraformProviderHostless() Rule {
	return Rule{
		ID: "terraform-provider-hostless", Group: Terraform, Severity: finding.Warning,
		Summary: "The source of a provider does not name its registry.",
		Reason: "Terraform and OpenTofu then take it from different registries, and each rewrites the lock file of the other " +
			"(https://opentofu.org/docs/language/providers/requirements/#source-addresses).",
		Bad:  terraformExample(stateExample + providerExample("~> 6.2")),
		Good: terraformExample(stateExample + strings.Replace(providerExample("~> 6.2"), "hashicorp/aws", "registry.terraform.io/hashicorp/aws", 1)),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			for _, m := range f.modules() {
				for _, b := range m.blocks("terraform") {
					for _, inner := range b.Body.Blocks {
						if inner.Type != "required_providers" {
							continue
						}
						for name, a := range inner.Body.Attributes {
							v, diagnostics := a.Expr.Value(nil)
							if diagnostics.HasErrors() || v.IsNull() || !v.Type().IsObjectType() || !v.Type().HasAttribute("source") {
								continue
							}
							source := v.GetAttr("source")
							if source.Type() == cty.String && !source.IsNull() && source.IsKnown() && strings.Count(source.AsString(), "/") == 1 {
								found = append(found, problem(m.place(a.NameRange), "write registry.terraform.io/"+source.AsString(), "provider %s is %s, of whatever registry the program prefers", name, source.AsString()))
							}
						}
					}
				}
			}
			return found
		},
	}
}
