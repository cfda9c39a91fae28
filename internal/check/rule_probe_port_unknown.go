package check

import (
	"fmt"
	"slices"
	"strconv"

	"archipel/internal/finding"
)

func probePortUnknown() Rule {
	return Rule{
		ID: "probe-port-unknown", Group: Workloads, Severity: finding.Warning,
		Summary: "A probe asks a port that the container does not list.",
		Reason: "A name that is not listed makes the probe fail, and the kubelet restart the container without end; a number that is not listed is mostly one that was forgotten at a change " +
			"(https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/). Numbers are looked at where the container lists ports, and " +
			"not in the network of the node, where a list of ports takes them.",
		Bad:    containerExample("ports:\n  - name: http\n    containerPort: 8080\nlivenessProbe:\n  httpGet:\n    port: web\n"),
		Good:   containerExample("ports:\n  - name: http\n    containerPort: 8080\nlivenessProbe:\n  httpGet:\n    port: http\n"),
		Covers: []string{"kube-linter liveness-port", "kube-linter readiness-port", "kube-linter startup-port"},
		Site: eachContainer(func(w *workload, c *container) *flaw {
			ports := listAt(c.spec, "ports")
			for _, probe := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
				for _, handler := range []string{"httpGet", "tcpSocket", "grpc"} {
					field := []string{probe, handler, "port"}
					name := textAt(c.spec, field...)
					number, numbered := intAt(c.spec, field...)
					if n, err := strconv.ParseInt(name, 10, 32); err == nil {
						name, number, numbered = "", n, true
					}
					listed := slices.ContainsFunc(ports, func(port any) bool {
						n, _ := intAt(port, "containerPort")
						return name != "" && textAt(port, "name") == name || numbered && n == number
					})
					switch {
					case name != "" && !listed:
						return &flaw{field, "name a port of the container", fmt.Sprintf("has a %s of port %s, which it does not list", probe, name)}
					case numbered && !listed && len(ports) > 0 && !isTrue(w.spec, "hostNetwork"):
						return &flaw{field, "list the port, or correct it", fmt.Sprintf("has a %s of port %d, which it does not list", probe, number)}
					}
				}
			}
			return nil
		}),
	}
}
