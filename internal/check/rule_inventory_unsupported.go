package check

import "archipel/internal/finding"

func inventoryUnsupported() Rule {
	return Rule{
		ID: "inventory-unsupported", Group: Inventory, Severity: finding.Error,
		Summary: "An inventory can only be read by running Ansible.",
		Reason: "Plugins, scripts and INI files say who the nodes are only once they run. archipel, Terraform and CI read the inventory " +
			"without running anything.",
		Bad:  overlay("kubernetes/ansible/inventories/site-a/dynamic.yml", "plugin: amazon.aws.aws_ec2\n"),
		Good: hostsWith("all:\n  children:\n    servers:\n      hosts:\n        site-a-server-1:\n          ansible_host: 198.51.100.11\n"),
	}
}
