package check

import (
	"archipel/internal/finding"
)

func ciliumMeshServiceLocal() Rule {
	return Rule{
		ID: "cilium-mesh-service-local", Group: Network, Severity: finding.Error,
		Summary: "Other sites cannot reach this site's mesh API server at the address that they are told.",
		Reason: "The chart makes a Service of type NodePort, which under kube-proxy replacement each node answers itself, also for the address of another " +
			"site's node (cilium/cilium#24692). The peers of archipel ask at mesh_api_address, which MetalLB gives to a Service of type LoadBalancer.",
		Bad:  ciliumWith("clustermesh:\n  useAPIServer: true\n"),
		Good: ciliumWith("clustermesh:\n  useAPIServer: true\n  apiserver:\n    service:\n      type: LoadBalancer\n      annotations:\n        metallb.io/loadBalancerIPs: ${mesh_api_address}\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			if !c.is("clustermesh.useAPIServer", true) {
				return
			}
			const service = "clustermesh.apiserver.service"
			if !c.is(service+".type", "LoadBalancer") {
				c.report(service+".type", "set it to LoadBalancer", "%s.type is %s", service, c.shown(service+".type"))
				return
			}
			want := c.Site.Site.Facts.MeshAPIAddress
			given := textAt(c.values, "clustermesh", "apiserver", "service", "annotations", "metallb.io/loadBalancerIPs")
			if given == "" {
				given = textAt(c.values, "clustermesh", "apiserver", "service", "loadBalancerIP")
			}
			if want.IsValid() && given != want.String() {
				c.report(service+".annotations", "set the annotation metallb.io/loadBalancerIPs to ${mesh_api_address}", "the mesh API server does not ask for mesh_api_address %s", want)
			}
		}),
	}
}
