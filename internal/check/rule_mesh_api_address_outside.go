package check

import "archipel/internal/finding"

func meshAPIAddressOutside() Rule {
	return Rule{
		ID: "mesh-api-address-outside", Group: Network, Severity: finding.Error,
		Summary: "The address of the mesh API server is in none of the load balancer ranges of the site.",
		Reason:  "MetalLB gives a service an address of its pools only; with another one the service stays without.",
		Bad:     factsWith("mesh_api_address: 198.51.100.240"),
		Good:    factsWith("mesh_api_address: 198.51.100.239"),
	}
}
