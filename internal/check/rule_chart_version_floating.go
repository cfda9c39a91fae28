package check

import (
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"

	"github.com/Masterminds/semver/v3"
)

func chartVersionFloating() Rule {
	return Rule{
		ID: "chart-version-floating", Group: Flux, Severity: finding.Error,
		Summary: "A HelmRelease takes whatever version of a chart there is.",
		Reason: "Without an exact version, a chart's release upgrades every site at once, with no commit, no review and no way back through Git; sites that look at different times run " +
			"different versions (https://fluxcd.io/flux/components/source/helmcharts/#version). Third-party software is a pinned reference (docs/architecture.md).",
		Bad:  metallbChart(`">=0.15.0"`),
		Good: metallbChart("0.16.2"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			check := func(o *render.Object, path ...string) {
				spec := mapAt(o.Object, path...)
				// A chart in Git or in a bucket has the version that stands in its folder.
				if spec == nil || textAt(spec, "sourceRef", "kind") != "HelmRepository" {
					return
				}
				const fix = "set an exact version, X.Y.Z"
				switch version := textAt(spec, "version"); {
				case version == "":
					found = append(found, problem(s.At(o, append(path, "chart")...), fix, "%s asks for no version of chart %s, which means the latest", named(o), textAt(spec, "chart")))
				case !exactVersion(version):
					found = append(found, problem(s.At(o, append(path, "version")...), fix, "version %q of chart %s is not exact", version, textAt(spec, "chart")))
				}
			}
			for _, o := range s.kinds(helmAPI, "HelmRelease") {
				check(o, "spec", "chart", "spec")
			}
			for _, o := range s.kinds(sourceAPI, "HelmChart") {
				check(o, "spec")
			}
			return found
		},
	}
}

// exactVersion says whether a version is one release, not a range. A leading v is usual for tags.
func exactVersion(version string) bool {
	_, err := semver.StrictNewVersion(strings.TrimPrefix(version, "v"))
	return err == nil
}

// metallbChart is an example: the HelmRelease of MetalLB with another chart version.
func metallbChart(version string) string { return metallbRelease("interval: 1h\n", version) }

// metallbRelease is an example: the HelmRelease of MetalLB with another spec and version.
func metallbRelease(spec, version string) string {
	return overlay("kubernetes/flux/apps/metallb/app/release.yaml", `
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: metallb
  namespace: flux-system
spec:
  releaseName: metallb
  targetNamespace: metallb-system
  storageNamespace: metallb-system
  chart:
    spec:
      chart: metallb
      version: `+version+`
      sourceRef:
        kind: HelmRepository
        name: metallb
`+indent(spec, 2))
}
