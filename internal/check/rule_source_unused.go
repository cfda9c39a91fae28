package check

import (
	"strconv"

	"archipel/internal/finding"
)

func sourceUnused() Rule {
	return Rule{
		ID: "source-unused", Group: Flux, Severity: finding.Warning,
		Summary: "A source is declared that nothing uses.",
		Reason: "source-controller fetches it at every interval for nobody, and when its server is away the site shows a failure that means nothing " +
			"(https://fluxcd.io/flux/components/source/).",
		Bad: inWhoami(repositoryExample("https://charts.example.org")),
		Good: inWhoami(repositoryExample("https://charts.example.org") + `---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: example
  namespace: flux-system
spec:
  interval: 1h
  chart:
    spec:
      chart: example
      version: 1.0.0
      sourceRef:
        kind: HelmRepository
        name: charts
`),
		Site: func(s *Site) []finding.Finding {
			used := map[string]bool{}
			for _, o := range s.Render.Objects {
				for _, path := range [][]string{{"spec", "sourceRef"}, {"spec", "chart", "spec", "sourceRef"}, {"spec", "chartRef"}} {
					if ref := mapAt(o.Object, path...); ref != nil {
						namespace := textAt(ref, "namespace")
						if namespace == "" {
							namespace = o.GetNamespace()
						}
						used[textAt(ref, "kind")+" "+reference(namespace, textAt(ref, "name"))] = true
					}
				}
				for i := range listAt(o.Object, "spec", "include") { // of a GitRepository
					used["GitRepository "+reference(o.GetNamespace(), textAt(o.Object, "spec", "include", strconv.Itoa(i), "repository", "name"))] = true
				}
			}
			var found []finding.Finding
			for _, o := range s.kinds(sourceAPI, "GitRepository", "HelmRepository", "OCIRepository", "Bucket", "HelmChart") {
				if !used[named(o)] {
					found = append(found, problem(s.At(o, "metadata", "name"), "remove it", "nothing uses %s", named(o)))
				}
			}
			return found
		},
	}
}
