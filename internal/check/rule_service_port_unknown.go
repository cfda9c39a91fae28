package check

import (
	"slices"
	"strconv"
	"strings"

	"archipel/internal/finding"
)

func servicePortUnknown() Rule {
	return Rule{
		ID: "service-port-unknown", Group: Kubernetes, Severity: finding.Error,
		Summary: "A Service sends to a named port that its pods do not have.",
		Reason: "Kubernetes leaves the port out of the endpoints, so connections to it fail " +
			"(https://kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports).",
		Bad:  inWhoami(strings.Replace(balancerExample("example", "metallb.io/address-pool: public\n"), "targetPort: http", "targetPort: htpp", 1)),
		Good: inWhoami(balancerExample("example", "metallb.io/address-pool: public\n")),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.kinds("", "Service") {
				selector := mapAt(o.Object, "spec", "selector")
				if len(selector) == 0 {
					continue
				}
				ports, selected := map[string]bool{}, false
				for _, p := range s.Render.Objects {
					if p.GetNamespace() != o.GetNamespace() || !selectedBy(selector, podLabels(p)) {
						continue
					}
					selected = true
					for _, c := range containers(p) {
						for _, port := range listAt(p.Object, append(slices.Clone(c), "ports")...) {
							ports[textAt(port, "name")] = true
						}
					}
				}
				for i := range listAt(o.Object, "spec", "ports") {
					at := strconv.Itoa(i)
					if name := textAt(o.Object, "spec", "ports", at, "targetPort"); selected && name != "" && !ports[name] {
						found = append(found, problem(s.At(o, "spec", "ports", at, "targetPort"), "name a port of the container, or give its number", "%s sends to port %s, which its pods do not have", named(o), name))
					}
				}
			}
			return found
		},
	}
}

// selectedBy says whether a Service's selector selects pods with these labels; nil labels
// are of an object that makes no pods.
func selectedBy(selector map[string]any, of map[string]string) bool {
	if of == nil {
		return false
	}
	for key, value := range selector {
		if got, ok := of[key]; !ok || got != value {
			return false
		}
	}
	return true
}
