package check

import (
	"strings"

	"archipel/internal/finding"
)

func sourceTagFloating() Rule {
	return Rule{
		ID: "source-tag-floating", Group: Flux, Severity: finding.Error,
		Summary: "An OCIRepository follows a tag that moves: latest, a range, or none at all.",
		Reason: "Whoever can push to the registry then changes every site at once, with no commit and no review, and the same revision of Git means something else tomorrow " +
			"(https://fluxcd.io/flux/components/source/ocirepositories/#reference).",
		Bad:  inWhoami(ociExample("latest")),
		Good: inWhoami(ociExample("1.4.2")),
		Site: func(s *Site) []finding.Finding {
			const fix = "name an exact version as tag, or a digest"
			var found []finding.Finding
			for _, o := range s.kinds(sourceAPI, "OCIRepository") {
				ref := mapAt(o.Object, "spec", "ref")
				tag := textAt(ref, "tag")
				switch {
				case textAt(ref, "digest") != "":
				case textAt(ref, "semver") != "":
					found = append(found, problem(s.At(o, "spec", "ref", "semver"), fix, "%s follows the range %q", named(o), textAt(ref, "semver")))
				case tag == "":
					found = append(found, problem(s.At(o, "spec", "url"), fix, "%s names no tag, which means latest", named(o)))
				case !strings.ContainsAny(tag, "0123456789"): // latest, main, stable
					found = append(found, problem(s.At(o, "spec", "ref", "tag"), fix, "%s follows the tag %q, which moves", named(o), tag))
				}
			}
			return found
		},
	}
}

func ociExample(tag string) string {
	return `
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata:
  name: manifests
  namespace: flux-system
spec:
  interval: 1h
  url: oci://registry.example.org/manifests
  ref:
    tag: ` + tag + `
`
}
