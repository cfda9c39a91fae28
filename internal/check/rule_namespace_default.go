package check

import (
	"strings"

	"archipel/internal/finding"
)

func namespaceDefault() Rule {
	return Rule{
		ID: "namespace-default", Group: Workloads, Severity: finding.Warning,
		Summary: "An object is in the namespace default.",
		Reason: "All that has no place of its own is there: permissions, policies and the Pod Security level of the namespace fit none of it (CIS Kubernetes Benchmark 5.7.4, " +
			"https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/).",
		Bad:    strings.ReplaceAll(containerExample(""), "namespace: whoami", "namespace: default"),
		Good:   containerExample(""),
		Covers: []string{"kube-linter use-namespace", "trivy KSV-0110"},
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.Render.Objects {
				if o.GetNamespace() == "default" && o.GetKind() != "Namespace" {
					found = append(found, s.concern(o, "", []string{"metadata", "namespace"}, "put it into a namespace of its own", "%s is in the namespace default", named(o)))
				}
			}
			return found
		},
	}
}
