package check

import (
	"maps"
	"path"
	"slices"
	"strings"

	"archipel/internal/finding"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func terraformBackendDuplicate() Rule {
	return Rule{
		ID: "terraform-backend-duplicate", Group: Terraform, Severity: finding.Error,
		Summary: "Two sites keep their Terraform state in the same place.",
		Reason: "A plan of one site then wants to destroy the other, because its resources are in the state and not in the configuration " +
			"(https://developer.hashicorp.com/terraform/language/backend/s3#key).",
		Bad:  terraformExample(stateExample) + overlay("kubernetes/terraform/envs/site-b/main.tf", stateExample),
		Good: terraformExample(stateExample) + overlay("kubernetes/terraform/envs/site-b/main.tf", strings.Replace(stateExample, "site-a/", "site-b/", 1)),
		Fleet: func(f *Fleet) []finding.Finding {
			first := map[string]string{} // folder by state
			var found []finding.Finding
			for _, m := range f.modules() {
				for _, b := range m.backends() {
					state := stateOf(b)
					before, taken := first[state]
					switch {
					case state == "":
					case !taken:
						first[state] = m.dir
					case before != m.dir:
						f := problem(m.place(b.DefRange()), "give every site a key of its own, for example "+path.Base(m.dir)+"/terraform.tfstate",
							"the state of %s is kept where that of %s is", m.dir, before)
						f.Sites = []string{path.Base(before), path.Base(m.dir)}
						found = append(found, f)
					}
				}
			}
			return found
		},
	}
}

// stateOf names where a backend keeps the state; "" when the configuration alone does not say it.
func stateOf(b *hclsyntax.Block) string {
	kind := label(b)
	if b.Type != "backend" || kind == "local" {
		return "" // a folder of its own, or workspaces of a service
	}
	parts := []string{kind}
	for _, name := range slices.Sorted(maps.Keys(b.Body.Attributes)) {
		switch name {
		case "bucket", "key", "prefix", "container_name", "storage_account_name", "address", "path", "schema_name", "conn_str", "secret_suffix", "namespace", "workspace_key_prefix":
			value := literal(b.Body.Attributes[name])
			if value == "" {
				return ""
			}
			parts = append(parts, name+"="+value)
		}
	}
	if len(parts) == 1 {
		return "" // given at terraform init
	}
	return strings.Join(parts, " ")
}
