package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/schema"
)

func crdInvalid() Rule {
	return Rule{
		ID: "crd-invalid", Group: Kubernetes, Severity: finding.Error,
		Summary: "The API server would refuse a definition (CRD), or could not use it.",
		Reason: "Without the definition there is no object of its kind, and Flux stops at the Kustomization that holds it " +
			"(https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/).",
		Bad:  inWhoami(strings.Replace(celExample(2, 3), "self.most", "self.mots", 1)),
		Good: inWhoami(celExample(2, 3)),
		Site: func(s *Site) []finding.Finding {
			found := refused(schema.DefinitionInvalid)(s)
			for _, p := range s.SchemaProblems {
				if p.Kind == schema.SchemaVersionMissing {
					s.Skip("kubernetes-schema-missing", p.Message)
					continue
				}
				found = append(found, problem(definitionAt(s, p), p.Fix, "%s", p.Message))
			}
			return found
		},
	}
}

// definitionAt returns the place of the definition that a problem is about: the one whose
// kind its message names.
func definitionAt(s *Site, p schema.Problem) finding.Position {
	for _, o := range s.kinds("apiextensions.k8s.io", "CustomResourceDefinition") {
		if slices.Contains(strings.Fields(p.Message), textAt(o.Object, "spec", "names", "kind")) {
			return s.At(o, p.Path...)
		}
	}
	return finding.Position{}
}
