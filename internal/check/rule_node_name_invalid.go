package check

import "archipel/internal/finding"

func nodeNameInvalid() Rule {
	return Rule{
		ID: "node-name-invalid", Group: Inventory, Severity: finding.Error,
		Summary: "A host cannot be the name of a Kubernetes node.",
		Reason: "The kubelet registers the node under the name of its host, which must be a DNS subdomain " +
			"(https://kubernetes.io/docs/concepts/architecture/nodes/#node-name-uniqueness).",
		Bad:  hostsWith("all:\n  children:\n    servers:\n      hosts:\n        Site_A_Server:\n          ansible_host: 198.51.100.11\n"),
		Good: hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
