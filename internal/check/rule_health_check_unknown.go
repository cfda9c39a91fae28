package check

import (
	"slices"
	"strconv"
	"strings"

	"archipel/internal/finding"
)

func healthCheckUnknown() Rule {
	return Rule{
		ID: "health-check-unknown", Group: Flux, Severity: finding.Error,
		Summary: "A Kustomization's healthChecks name an object that nothing creates.",
		Reason: "kustomize-controller waits for the object until the timeout, and the Kustomization fails at every revision " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/#health-checks).",
		Bad:  whoamiWith(healthCheckExample("who-am-i")),
		Good: whoamiWith(healthCheckExample("whoami")),
		Site: func(s *Site) []finding.Finding {
			known := map[string]bool{}
			for _, o := range s.Render.Objects {
				known[group(o)+" "+named(o)] = true
			}
			var found []finding.Finding
			for _, o := range s.kinds(kustomizeAPI, "Kustomization") {
				for i := range listAt(o.Object, "spec", "healthChecks") {
					at := []string{"spec", "healthChecks", strconv.Itoa(i)}
					check := func(key string) string { return textAt(o.Object, append(slices.Clone(at), key)...) }
					apiGroup, _, ok := strings.Cut(check("apiVersion"), "/")
					if !ok {
						apiGroup = ""
					}
					// What a chart creates is unknown while charts are missing.
					if len(s.Render.Skipped) > 0 && apiGroup != helmAPI && apiGroup != kustomizeAPI {
						continue
					}
					what := check("kind") + " " + reference(check("namespace"), check("name"))
					if !known[apiGroup+" "+what] {
						found = append(found, problem(s.At(o, append(at, "name")...), "name an object that the site creates, or remove the health check",
							"%s waits for %s, which nothing creates", named(o), what))
					}
				}
			}
			return found
		},
	}
}

func healthCheckExample(name string) string {
	return `
prune: true
healthChecks:
  - apiVersion: helm.toolkit.fluxcd.io/v2
    kind: HelmRelease
    name: ` + name + `
    namespace: flux-system
`
}
