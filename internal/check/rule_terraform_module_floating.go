package check

import (
	"strings"

	"archipel/internal/finding"
)

func terraformModuleFloating() Rule {
	return Rule{
		ID: "terraform-module-floating", Group: Terraform, Severity: finding.Error,
		Summary: "A module of somebody else is used without a version.",
		Reason: "terraform init takes the latest from a registry, and the default branch from Git: what it plans changes with no change here " +
			"(https://developer.hashicorp.com/terraform/language/modules/sources#selecting-a-revision).",
		Bad:  terraformExample(stateExample + "\nmodule \"vpc\" {\n  source = \"git::https://git.example.org/vpc.git\"\n}\n"),
		Good: terraformExample(stateExample + "\nmodule \"vpc\" {\n  source = \"git::https://git.example.org/vpc.git?ref=v1.2.0\"\n}\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			for _, m := range f.modules() {
				for _, b := range m.blocks("module") {
					at := b.Body.Attributes["source"]
					text := literal(at)
					if text == "" || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") {
						continue
					}
					fix := ""
					switch {
					case strings.HasPrefix(text, "git::") || strings.Contains(text, ".git") || strings.HasPrefix(text, "github.com/"):
						if !strings.Contains(text, "?ref=") && !strings.Contains(text, "&ref=") {
							fix = "add ?ref= with a tag or a commit"
						}
					case strings.Count(text, "/") >= 2 && !strings.Contains(text, "://") && !strings.Contains(text, "::"): // of a registry
						if literal(b.Body.Attributes["version"]) == "" {
							fix = "add version"
						}
					}
					if fix != "" {
						found = append(found, problem(m.place(at.Expr.Range()), fix, "module %s is whatever is the latest", label(b)))
					}
				}
			}
			return found
		},
	}
}
