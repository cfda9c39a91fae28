package check

import "archipel/internal/finding"

func siteNameInvalid() Rule {
	return Rule{
		ID: "site-name-invalid", Group: Inventory, Severity: finding.Error,
		Summary: "A site has a name that its cluster cannot have.",
		Reason: "The name of the directory becomes cluster.name of Cilium: at most 32 characters of a DNS label, and not \"default\" " +
			"(https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/#specify-the-cluster-name-and-id). Flux writes it " +
			"into YAML, where some words are no text.",
		Bad:  overlay("kubernetes/ansible/inventories/Site_C/hosts.yml", "all:\n  children:\n    servers:\n      hosts:\n        site-c-server-1:\n          ansible_host: 198.51.100.11\n"),
		Good: factsWith(""),
	}
}
