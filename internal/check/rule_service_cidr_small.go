package check

import "archipel/internal/finding"

func serviceCIDRSmall() Rule {
	return Rule{
		ID: "service-cidr-small", Group: Network, Severity: finding.Error,
		Summary: "The network of services has no tenth address.",
		Reason:  "k3s gives the DNS service the tenth address of service-cidr (https://docs.k3s.io/cli/server#networking).",
		Bad:     factsWith("service_cidr: 10.128.0.0/29"),
		Good:    factsWith("service_cidr: 10.128.0.0/16"),
	}
}
