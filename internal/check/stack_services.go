package check

import (
	"strings"

	"archipel/internal/render"
)

// wanted is an address that a Service asks MetalLB for.
type wanted struct {
	service *render.Object
	address string
	shared  string   // key under which Services may share an address
	field   []string // where it asks
}

// wantedAddresses returns the addresses that the Services of a site ask for: in MetalLB's
// annotation, old or new, or in the deprecated field of Kubernetes.
func (s *Site) wantedAddresses() []wanted {
	var all []wanted
	for _, o := range s.kinds("", "Service") {
		if textAt(o.Object, "spec", "type") != "LoadBalancer" {
			continue
		}
		annotations := o.GetAnnotations()
		shared := annotations["metallb.io/allow-shared-ip"] + annotations["metallb.universe.tf/allow-shared-ip"]
		for _, key := range []string{"metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs"} {
			for address := range strings.SplitSeq(annotations[key], ",") {
				if address = strings.TrimSpace(address); address != "" {
					all = append(all, wanted{o, address, shared, []string{"metadata", "annotations", key}})
				}
			}
		}
		if address := textAt(o.Object, "spec", "loadBalancerIP"); address != "" {
			all = append(all, wanted{o, address, shared, []string{"spec", "loadBalancerIP"}})
		}
	}
	return all
}

// balancerExample is a manifest: a Service with an address.
func balancerExample(name, annotations string) string {
	return `
apiVersion: v1
kind: Service
metadata:
  name: ` + name + `
  namespace: whoami
  annotations:
` + indent(annotations, 4) + `spec:
  type: LoadBalancer
  selector:
    app.kubernetes.io/name: whoami
    app.kubernetes.io/instance: whoami
  ports:
    - port: 8080
      targetPort: http
`
}
