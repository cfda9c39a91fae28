package check

import (
	"archipel/internal/finding"
	"archipel/internal/render"
)

func releaseNameDuplicate() Rule {
	return Rule{
		ID: "release-name-duplicate", Group: Flux, Severity: finding.Error,
		Summary: "Two HelmReleases are the same Helm release: same name, same storage namespace.",
		Reason: "Helm keeps the history of a release by name and namespace. Each HelmRelease upgrades the other's chart away, in turns " +
			"(https://fluxcd.io/flux/components/helm/helmreleases/#release-name).",
		Bad:  inWhoami(secondReleaseExample("whoami")),
		Good: inWhoami(secondReleaseExample("second")),
		Site: func(s *Site) []finding.Finding {
			first := map[string]*render.Release{}
			var found []finding.Finding
			for _, r := range s.Render.Releases {
				key := reference(r.StorageNamespace, r.ReleaseName)
				before := first[key]
				if before == nil {
					first[key] = r
					continue
				}
				if r.Object != nil && (before.Namespace != r.Namespace || before.Name != r.Name) {
					found = append(found, problem(s.At(r.Object, "spec", "releaseName"), "give each HelmRelease a releaseName of its own",
						"%s is Helm release %s, as is HelmRelease %s", named(r.Object), key, reference(before.Namespace, before.Name)))
				}
			}
			return found
		},
	}
}

func secondReleaseExample(name string) string {
	return `
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: second
  namespace: flux-system
spec:
  interval: 1h
  releaseName: ` + name + `
  targetNamespace: whoami
  storageNamespace: whoami
  chart:
    spec:
      chart: ./kubernetes/flux/apps/whoami/chart
      sourceRef:
        kind: GitRepository
        name: flux-system
`
}
