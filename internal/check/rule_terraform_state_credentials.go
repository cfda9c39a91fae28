package check

import (
	"slices"

	"archipel/internal/finding"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func terraformStateCredentials() Rule {
	return Rule{
		ID: "terraform-state-credentials", Group: Terraform, Severity: finding.Error,
		Summary: "The credentials of the store of Terraform's states are in a file.",
		Reason: "They are in Git then, and Terraform writes them into its folder and into every plan " +
			"(https://developer.hashicorp.com/terraform/language/backend#credentials-and-sensitive-data).",
		Bad:  overlay("kubernetes/terraform/backend.hcl", "bucket       = \"archipel-state\"\nregion       = \"us-east-1\"\nuse_lockfile = true\naccess_key   = \"archipel\"\n"),
		Good: overlay("kubernetes/terraform/backend.hcl", "bucket       = \"archipel-state\"\nregion       = \"us-east-1\"\nuse_lockfile = true\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			f.eachBackend(func(c *configuration, body *hclsyntax.Body) {
				for name, a := range body.Attributes {
					if slices.Contains([]string{"access_key", "secret_key", "token", "sse_customer_key"}, name) {
						found = append(found, problem(c.place(a.NameRange), "remove it, give it anew, and set it in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE)", "%s stands in a file", name))
					}
				}
			})
			return found
		},
	}
}
