package check

import (
	"archipel/internal/finding"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func terraformBackendMissing() Rule {
	return Rule{
		ID: "terraform-backend-missing", Group: Terraform, Severity: finding.Error,
		Summary: "A site's environment does not say where Terraform keeps its state.",
		Reason: "Without a backend the state is a file on the machine of whoever ran it last. The next one creates everything a second time, and what is lost cannot be planned against " +
			"(https://developer.hashicorp.com/terraform/language/backend).",
		Bad:  terraformExample("terraform {\n  required_version = \"~> 1.10\"\n}\n"),
		Good: terraformExample(stateExample),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			for _, m := range f.modules() {
				if m.root() && !m.broken && len(m.backends()) == 0 {
					at := finding.Position{File: m.files[0].path}
					if blocks := m.blocks("terraform"); len(blocks) > 0 {
						at = m.place(blocks[0].DefRange())
					}
					found = append(found, problem(at, "add a backend block with a key of its own", "%s has no backend", m.dir))
				}
			}
			return found
		},
	}
}

// backends returns the blocks that say where a module's state is kept.
func (m *module) backends() []*hclsyntax.Block {
	var found []*hclsyntax.Block
	for _, b := range m.blocks("terraform") {
		for _, inner := range b.Body.Blocks {
			if inner.Type == "backend" || inner.Type == "cloud" {
				found = append(found, inner)
			}
		}
	}
	return found
}
