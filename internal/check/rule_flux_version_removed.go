package check

import (
	"strings"

	"archipel/internal/finding"
)

func fluxVersionRemoved() Rule {
	return Rule{
		ID: "flux-version-removed", Group: Flux, Severity: finding.Error,
		Summary: "An object of Flux has an API version that current releases no longer serve, or will not for long.",
		Reason: "The API server refuses the object, and with it everything in the same Kustomization. Flux's beta versions end two minor releases after their successor " +
			"(https://fluxcd.io/flux/releases/).",
		Bad:  inWhoami(strings.Replace(repositoryExample("https://charts.example.org"), "/v1\n", "/v1beta2\n", 1)),
		Good: inWhoami(repositoryExample("https://charts.example.org")),
		Site: func(s *Site) []finding.Finding {
			current := map[string]string{
				kustomizeAPI: "v1", helmAPI: "v2", sourceAPI: "v1", "image.toolkit.fluxcd.io": "v1",
				"notification.toolkit.fluxcd.io Receiver": "v1", "notification.toolkit.fluxcd.io Alert": "v1beta3", "notification.toolkit.fluxcd.io Provider": "v1beta3",
			}
			var found []finding.Finding
			for _, o := range s.Render.Objects {
				want := current[group(o)]
				if want == "" {
					want = current[group(o)+" "+o.GetKind()]
				}
				if _, version, _ := strings.Cut(o.GetAPIVersion(), "/"); want != "" && version != want {
					found = append(found, problem(s.At(o, "apiVersion"), "use "+group(o)+"/"+want, "%s has version %s, which Flux no longer serves", named(o), version))
				}
			}
			return found
		},
	}
}
