package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
)

func imageTagFloating() Rule {
	return Rule{
		ID: "image-tag-floating", Group: Flux, Severity: finding.Error,
		Security: true, Covers: []string{"kube-linter latest-tag", "trivy KSV-0013"},
		Summary: "A container's image has no tag, or the tag latest.",
		Reason: "Two pods of one Deployment may run different programs, a node that restarts may get another one than it had, and nothing in Git says which " +
			"(https://kubernetes.io/docs/concepts/containers/images/#image-names). Charts of others are pinned as a whole, and not looked at.",
		Bad:  inWhoami(podExample("docker.io/traefik/whoami")),
		Good: inWhoami(podExample("docker.io/traefik/whoami:v1.11.0")),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.Render.Objects {
				if r := o.Origin.Release; r != nil && !fromGit(r) {
					continue
				}
				for _, c := range containers(o) {
					image := textAt(o.Object, append(slices.Clone(c), "image")...)
					if image == "" || strings.Contains(image, "@sha256:") {
						continue
					}
					name := image[strings.LastIndex(image, "/")+1:]
					if _, tag, ok := strings.Cut(name, ":"); !ok || tag == "latest" || tag == "" {
						found = append(found, of(o, problem(s.At(o, append(slices.Clone(c), "image")...), "name a version as tag, or a digest", "image %s of %s is whatever is the latest", image, named(o))))
					}
				}
			}
			return found
		},
	}
}

func podExample(image string) string {
	return `
apiVersion: v1
kind: Pod
metadata:
  name: example
  namespace: whoami
spec:
  containers:
    - name: example
      image: ` + image + `
`
}
