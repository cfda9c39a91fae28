package check

import (
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func serviceExternalAddress() Rule {
	return Rule{
		ID: "service-external-address", Group: Workloads, Severity: finding.Error,
		Summary: "A Service claims addresses with externalIPs.",
		Reason: "Every node then sends what its pods say to these addresses to the Service, whosever the addresses are: CVE-2020-8554, which Kubernetes cannot repair " +
			"(https://kubernetes.io/docs/concepts/services-networking/service/#external-ips).",
		Bad:    inWhoami(externalExample("selector:\n  app.kubernetes.io/name: whoami\nexternalIPs: [192.0.2.1]\nports:\n  - port: 80\n")),
		Good:   inWhoami(externalExample("selector:\n  app.kubernetes.io/name: whoami\nports:\n  - port: 80\n")),
		Covers: []string{"trivy KSV-0108"},
		Site: eachObject("", "Service", func(_ *Site, o *render.Object) *flaw {
			addresses := textsAt(o.Object, "spec", "externalIPs")
			if len(addresses) == 0 {
				return nil
			}
			return &flaw{[]string{"spec", "externalIPs"}, "use the type LoadBalancer with an address of a pool", "claims " + strings.Join(addresses, ", ") + " with externalIPs"}
		}),
	}
}
