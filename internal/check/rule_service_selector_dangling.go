package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func serviceSelectorDangling() Rule {
	return Rule{
		ID: "service-selector-dangling", Group: Kubernetes, Severity: finding.Warning,
		Security: true, Covers: []string{"kube-linter dangling-service"},
		Summary: "A Service selects pods that nothing makes.",
		Reason: "It has an address, and every connection to it fails (https://kubernetes.io/docs/concepts/services-networking/service/). Services that the charts " +
			"of others make are not looked at: their operators may make the pods.",
		Bad:  inWhoami(strings.Replace(balancerExample("example", "metallb.io/address-pool: public\n"), "name: whoami\n    app", "name: who-am-i\n    app", 1)),
		Good: inWhoami(balancerExample("example", "metallb.io/address-pool: public\n")),
		Site: func(s *Site) []finding.Finding {
			if slices.ContainsFunc(s.Render.Releases, func(r *render.Release) bool { return !r.Rendered && fromGit(r) }) {
				return nil // the pods may be in what could not be rendered
			}
			var found []finding.Finding
			for _, o := range s.kinds("", "Service") {
				selector := mapAt(o.Object, "spec", "selector")
				if len(selector) == 0 || o.Origin.Release != nil && !fromGit(o.Origin.Release) {
					continue
				}
				if !slices.ContainsFunc(s.Render.Objects, func(p *render.Object) bool {
					return p.GetNamespace() == o.GetNamespace() && selectedBy(selector, podLabels(p))
				}) {
					found = append(found, of(o, problem(s.At(o, "spec", "selector"), "select labels of a pod template in the same namespace", "%s selects pods that nothing in its namespace makes", named(o))))
				}
			}
			return found
		},
	}
}
