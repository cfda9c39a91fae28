package check

import "archipel/internal/finding"

func wireGuardEndpointInvalid() Rule {
	return Rule{
		ID: "wireguard-endpoint-invalid", Group: Inventory, Severity: finding.Error,
		Summary: "The endpoint of a gateway is no host and port.",
		Reason:  "The gateways of the other sites send to it. WireGuard resolves it once, and says nothing when nobody answers there.",
		Bad:     hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n          wireguard_endpoint: udp://192.0.2.1\n"),
		Good:    hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n          wireguard_endpoint: 192.0.2.1:51820\n"),
	}
}
