package check

import (
	"slices"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func ingressDangling() Rule {
	return Rule{
		ID: "ingress-dangling", Group: Workloads, Severity: finding.Warning,
		Summary: "An Ingress sends to a Service that nothing declares.",
		Reason:  "Every request to it fails, and the name is free for whoever may make Services in the namespace (https://kubernetes.io/docs/concepts/services-networking/ingress/).",
		Bad:     ingressExample("other"),
		Good:    ingressExample("whoami"),
		Covers:  []string{"kube-linter dangling-ingress"},
		Site: eachObject("networking.k8s.io", "Ingress", func(s *Site, o *render.Object) *flaw {
			if s.operated(o) {
				return nil
			}
			for _, name := range backends(o) {
				if !slices.ContainsFunc(s.kinds("", "Service"), func(t *render.Object) bool { return t.GetName() == name && t.GetNamespace() == o.GetNamespace() }) {
					return &flaw{[]string{"spec"}, "name a Service of the same namespace", "sends to Service " + name + ", which nothing declares"}
				}
			}
			return nil
		}),
	}
}

// ingressExample is an example: an Ingress that sends to a Service.
func ingressExample(service string) string {
	return inWhoami(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: example
  namespace: whoami
spec:
  defaultBackend:
    service:
      name: ` + service + `
      port:
        number: 80
`)
}
