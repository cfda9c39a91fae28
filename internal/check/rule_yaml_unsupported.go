package check

import "archipel/internal/finding"

func yamlUnsupported() Rule {
	return Rule{
		ID: "yaml-unsupported", Group: Inventory, Severity: finding.Error,
		Summary: "A file of the inventory is valid YAML that Ansible refuses.",
		Reason:  "Ansible knows few tags, and takes neither lists nor mappings as keys: an unquoted {{ ... }} is such a key.",
		Bad:     factsWith("mesh_api_address: {{ address }}"),
		Good:    factsWith(""),
	}
}
