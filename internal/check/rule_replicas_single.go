package check

import (
	"slices"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func replicasSingle() Rule {
	return Rule{
		ID: "replicas-single", Group: Workloads, Severity: finding.Warning,
		Summary: "What is reached from outside has one pod only.",
		Reason: "It is away whenever its node restarts or is upgraded (https://kubernetes.io/docs/concepts/workloads/pods/disruptions/). Only what a Service of type LoadBalancer or NodePort, or an Ingress, " +
			"sends to is looked at: for control loops one is enough.",
		Bad:    exposedExample("replicas: 1\n"),
		Good:   exposedExample("replicas: 2\n"),
		Covers: []string{"kube-linter minimum-three-replicas"},
		Site: eachWorkload(func(s *Site, w *workload) *flaw {
			if w.replicas() != 1 || s.autoscaler(w) != nil {
				return nil
			}
			for _, service := range s.services(w) {
				if outside := s.outside(service); outside != "" {
					return &flaw{[]string{"spec", "replicas"}, "set replicas to 2 or more", "has one pod, and " + outside + " sends to it from outside"}
				}
			}
			return nil
		}),
	}
}

// outside names what makes a Service reachable from outside the cluster; "" when nothing does.
func (s *Site) outside(service *render.Object) string {
	switch textAt(service.Object, "spec", "type") {
	case "LoadBalancer", "NodePort":
		return named(service)
	}
	for _, o := range s.kinds("networking.k8s.io", "Ingress") {
		if o.GetNamespace() == service.GetNamespace() && slices.Contains(backends(o), service.GetName()) {
			return named(o)
		}
	}
	return ""
}

// backends returns the names of the Services that an Ingress sends to.
func backends(o *render.Object) []string {
	var names []string
	add := func(backend any) {
		if name := textAt(backend, "service", "name"); name != "" {
			names = append(names, name)
		}
	}
	add(valueAt(o.Object, "spec", "defaultBackend"))
	for _, rule := range listAt(o.Object, "spec", "rules") {
		for _, path := range listAt(rule, "http", "paths") {
			add(valueAt(path, "backend"))
		}
	}
	return names
}

// exposedExample is an example: a Deployment and a Service that shows it outside.
func exposedExample(spec string) string {
	return deploymentExample(spec, "", "ports:\n  - containerPort: 8080\n") + `---
apiVersion: v1
kind: Service
metadata:
  name: example
  namespace: whoami
spec:
  type: LoadBalancer
  selector:
    app: example
  ports:
    - port: 80
      targetPort: 8080
`
}
