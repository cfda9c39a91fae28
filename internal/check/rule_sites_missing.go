package check

import "archipel/internal/finding"

func sitesMissing() Rule {
	return Rule{
		ID: "sites-missing", Group: Inventory, Severity: finding.Error, Firm: true,
		Summary: "The fleet has no site.",
		Reason:  "A site is a directory of kubernetes/ansible/inventories; without one there is nothing to check.",
		Bad:     "remove: kubernetes/ansible/inventories/site-a\nremove: kubernetes/ansible/inventories/site-b\n",
		Good:    factsWith(""),
	}
}
