package check

import "archipel/internal/finding"

func meshAPIAddressTaken() Rule {
	return Rule{
		ID: "mesh-api-address-taken", Group: Network, Severity: finding.Error,
		Summary: "The address of the mesh API server is that of a node.",
		Reason:  "Two machines would answer for one address.",
		Bad:     factsWith("mesh_api_address: 198.51.100.11"),
		Good:    factsWith("mesh_api_address: 198.51.100.200"),
	}
}
