package check

import (
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func serviceNodePort() Rule {
	return Rule{
		ID: "service-node-port", Group: Workloads, Severity: finding.Warning,
		Summary: "A Service opens a port on every node.",
		Reason: "A Service of type NodePort does, and one of type LoadBalancer too unless told not to: what it shows is then reachable at the address of each node, past the pools and their firewall " +
			"(https://kubernetes.io/docs/concepts/services-networking/service/#load-balancer-nodeport-allocation). Neither MetalLB in L2 mode nor Cilium needs these ports " +
			"(https://metallb.io/usage/).",
		Bad:    inWhoami(balancerExample("example", "metallb.io/address-pool: public\n")),
		Good:   inWhoami(strings.Replace(balancerExample("example", "metallb.io/address-pool: public\n"), "  type: LoadBalancer\n", "  type: LoadBalancer\n  allocateLoadBalancerNodePorts: false\n", 1)),
		Covers: []string{"kube-linter exposed-services"},
		Site: eachObject("", "Service", func(_ *Site, o *render.Object) *flaw {
			switch textAt(o.Object, "spec", "type") {
			case "NodePort":
				return &flaw{[]string{"spec", "type"}, "use the type ClusterIP, or LoadBalancer with an address of a pool", "opens a port on every node"}
			case "LoadBalancer":
				if valueAt(o.Object, "spec", "allocateLoadBalancerNodePorts") != false {
					return &flaw{[]string{"spec", "allocateLoadBalancerNodePorts"}, "set allocateLoadBalancerNodePorts to false", "opens a port on every node beside the address of its pool"}
				}
			}
			return nil
		}),
	}
}
