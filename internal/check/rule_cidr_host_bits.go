package check

import "archipel/internal/finding"

func cidrHostBits() Rule {
	return Rule{
		ID: "cidr-host-bits", Group: Network, Severity: finding.Error,
		Summary: "A network is written as an address inside it.",
		Reason:  "Programs disagree on 198.51.100.7/24: some take the network, some refuse it.",
		Bad:     factsWith("node_cidr: 198.51.100.7/24"),
		Good:    factsWith("node_cidr: 198.51.100.0/24"),
	}
}
