package check

import (
	"strconv"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func portNameInvalid() Rule {
	return Rule{
		ID: "port-name-invalid", Group: Workloads, Severity: finding.Warning,
		Summary: "A port has a name that is none of a service.",
		Reason: "Names of ports have at most 15 characters: small letters, digits and single dashes, with a letter and without a dash at either end (RFC 6335, section 5.1). The API server refuses others, " +
			"and those of a Service's targetPort find no port (https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/).",
		Bad:    containerExample("ports:\n  - name: this_is_http\n    containerPort: 8080\n"),
		Good:   containerExample("ports:\n  - name: http\n    containerPort: 8080\n"),
		Covers: []string{"kube-linter invalid-target-ports"},
		Site: func(s *Site) []finding.Finding {
			found := eachContainer(func(_ *workload, c *container) *flaw {
				for i, port := range listAt(c.spec, "ports") {
					if name := textAt(port, "name"); name != "" && !portName(name) {
						return &flaw{[]string{"ports", strconv.Itoa(i), "name"}, "give it a name such as http", "has a port with the name " + strconv.Quote(name)}
					}
				}
				return nil
			})(s)
			return append(found, eachObject("", "Service", func(_ *Site, o *render.Object) *flaw {
				for i, port := range listAt(o.Object, "spec", "ports") {
					if name := textAt(port, "targetPort"); name != "" && !portName(name) {
						if n, err := strconv.Atoi(name); err == nil && n > 0 && n < 1<<16 {
							continue
						}
						return &flaw{[]string{"spec", "ports", strconv.Itoa(i), "targetPort"}, "name a port of the container", "sends to a port with the name " + strconv.Quote(name)}
					}
				}
				return nil
			})(s)...)
		},
	}
}

// portName says whether a name is one of a service as RFC 6335 has it.
func portName(name string) bool {
	letter := false
	for i, c := range name {
		switch {
		case c >= 'a' && c <= 'z':
			letter = true
		case c == '-' && i > 0 && i < len(name)-1 && name[i-1] != '-':
		case c < '0' || c > '9':
			return false
		}
	}
	return letter && len(name) <= 15
}
