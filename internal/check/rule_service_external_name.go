package check

import (
	"strconv"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func serviceExternalName() Rule {
	return Rule{
		ID: "service-external-name", Group: Workloads, Severity: finding.Warning,
		Summary: "A Service is another name for a host elsewhere.",
		Reason: "Whoever may change it sends what the cluster trusts to another host, past network policies that select pods, and through an Ingress also what comes from outside " +
			"(https://kubernetes.io/docs/concepts/services-networking/service/#externalname).",
		Bad:    inWhoami(externalExample("type: ExternalName\nexternalName: example.org\n")),
		Good:   inWhoami(externalExample("type: ClusterIP\nselector:\n  app.kubernetes.io/name: whoami\nports:\n  - port: 80\n")),
		Covers: []string{"kube-linter externalname-service-redirect"},
		Site: eachObject("", "Service", func(_ *Site, o *render.Object) *flaw {
			if textAt(o.Object, "spec", "type") != "ExternalName" {
				return nil
			}
			return &flaw{[]string{"spec", "type"}, "give the program the name itself", "is another name for " + strconv.Quote(textAt(o.Object, "spec", "externalName"))}
		}),
	}
}

// externalExample is a Service.
func externalExample(spec string) string {
	return `
apiVersion: v1
kind: Service
metadata:
  name: example
  namespace: whoami
spec:
` + indent(spec, 2)
}
