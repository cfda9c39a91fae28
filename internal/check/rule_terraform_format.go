package check

import (
	"bytes"
	"slices"

	"archipel/internal/finding"

	"github.com/hashicorp/hcl/v2/hclwrite"
)

func terraformFormat() Rule {
	return Rule{
		ID: "terraform-format", Group: Terraform, Severity: finding.Warning,
		Summary: "A .tf file is not formatted as terraform fmt does.",
		Reason: "Whoever runs terraform fmt next changes lines that have nothing to do with the change at hand " +
			"(https://developer.hashicorp.com/terraform/cli/commands/fmt).",
		Bad:  terraformExample("locals {\n  a = 1\n  long = 2\n}\n"),
		Good: terraformExample("locals {\n  a    = 1\n  long = 2\n}\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			for _, c := range slices.Concat(f.configurations(), f.settings()) {
				if c.body == nil {
					continue
				}
				formatted := FormatTerraform(c.data)
				if line := firstDifference(c.data, formatted); line > 0 {
					found = append(found, problem(finding.Position{File: c.path, Line: line, Column: 1}, "run archipel lint --fix, or terraform fmt", "not formatted as terraform fmt does"))
				}
			}
			return found
		},
	}
}

// FormatTerraform returns a valid .tf file as terraform fmt writes it.
func FormatTerraform(data []byte) []byte { return hclwrite.Format(data) }

// firstDifference returns the number of the first line that differs, 0 when none does.
func firstDifference(a, b []byte) int {
	if bytes.Equal(a, b) {
		return 0
	}
	x, y := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range min(len(x), len(y)) {
		if !bytes.Equal(x[i], y[i]) {
			return i + 1
		}
	}
	return min(len(x), len(y))
}
