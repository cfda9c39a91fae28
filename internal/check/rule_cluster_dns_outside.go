package check

import "archipel/internal/finding"

func clusterDNSOutside() Rule {
	return Rule{
		ID: "cluster-dns-outside", Group: Network, Severity: finding.Error,
		Summary: "The address of a site's DNS service is not in its service network.",
		Reason: "The API server refuses a Service with an address outside of service-cidr, so CoreDNS gets none, and no name is " +
			"resolved.",
		Bad:  factsWith("cluster_dns: 10.129.0.10"),
		Good: factsWith("cluster_dns: 10.128.0.10"),
	}
}
