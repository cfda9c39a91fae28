package check

import (
	"strconv"
	"strings"

	"archipel/internal/finding"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func terraformProviderUnpinned() Rule {
	return Rule{
		ID: "terraform-provider-unpinned", Group: Terraform, Severity: finding.Error,
		Summary: "A site's environment takes whatever version of a provider there is, or any from one on.",
		Reason: "A provider's next major version changes resources and asks for other rights; terraform init -upgrade takes it without a question " +
			"(https://developer.hashicorp.com/terraform/language/providers/requirements#version-constraints).",
		Bad:  terraformExample(stateExample + providerExample(">= 5.0")),
		Good: terraformExample(stateExample + providerExample("~> 6.2")),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			for _, m := range f.modules() {
				if !m.root() || m.broken {
					continue
				}
				for _, b := range m.blocks("terraform") {
					for _, inner := range b.Body.Blocks {
						if inner.Type != "required_providers" {
							continue
						}
						for name, a := range inner.Body.Attributes {
							if version := providerVersion(a); !bounded(version) {
								what := "no version"
								if version != "" {
									what = "version " + strconv.Quote(version) + ", which has no upper bound"
								}
								found = append(found, problem(m.place(a.NameRange), "bound it, for example ~> 6.2", "provider %s has %s", name, what))
							}
						}
					}
				}
			}
			return found
		},
	}
}

// providerVersion returns the version of an entry of required_providers.
func providerVersion(a *hclsyntax.Attribute) string {
	v, diagnostics := a.Expr.Value(nil)
	switch {
	case diagnostics.HasErrors() || v.IsNull() || !v.IsKnown():
		return ""
	case v.Type() == cty.String:
		return v.AsString()
	case v.Type().IsObjectType() && v.Type().HasAttribute("version"):
		if version := v.GetAttr("version"); version.Type() == cty.String && !version.IsNull() {
			return version.AsString()
		}
	}
	return ""
}

// bounded says whether a version constraint ends somewhere.
func bounded(constraint string) bool {
	for part := range strings.SplitSeq(constraint, ",") {
		part = strings.TrimSpace(part)
		if part != "" && !strings.HasPrefix(part, ">") && !strings.HasPrefix(part, "!=") {
			return true
		}
	}
	return false
}

func providerExample(version string) string {
	return `
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "` + version + `"
    }
  }
}
`
}
