package check

import (
	"strings"

	"archipel/internal/finding"
)

func sourceInsecure() Rule {
	return Rule{
		ID: "source-insecure", Group: Flux, Severity: finding.Error,
		Summary: "A source is fetched without TLS.",
		Reason: "Whoever is on the way can replace what a site runs, and Flux applies it with the rights of cluster-admin " +
			"(https://fluxcd.io/flux/components/source/helmrepositories/#url, #insecure).",
		Bad:  inWhoami(repositoryExample("http://charts.example.org")),
		Good: inWhoami(repositoryExample("https://charts.example.org")),
		Site: func(s *Site) []finding.Finding {
			const fix = "use https://, ssh:// or oci:// with TLS; a private authority goes to spec.certSecretRef"
			var found []finding.Finding
			for _, o := range s.kinds(sourceAPI, "GitRepository", "HelmRepository", "OCIRepository", "Bucket") {
				scheme, _, _ := strings.Cut(textAt(o.Object, "spec", "url"), "://")
				switch {
				case scheme == "http" || scheme == "git":
					found = append(found, problem(s.At(o, "spec", "url"), fix, "%s is fetched over %s, without TLS", named(o), scheme))
				case isTrue(o.Object, "spec", "insecure"):
					found = append(found, problem(s.At(o, "spec", "insecure"), fix, "%s is fetched without TLS", named(o)))
				}
			}
			return found
		},
	}
}

func repositoryExample(url string) string {
	return `
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata:
  name: charts
  namespace: flux-system
spec:
  interval: 1h
  url: ` + url + `
`
}
