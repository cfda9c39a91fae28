package check

import "archipel/internal/finding"

func interconnectUnknown() Rule {
	return Rule{
		ID: "interconnect-unknown", Group: Inventory, Severity: finding.Error,
		Summary: "The fact interconnect names a way to join sites that there is none of.",
		Reason:  "The gateways would build no link, and the sites could not reach one another.",
		Bad:     sharedWith("interconnect: vxlan"),
		Good:    sharedWith("interconnect: none"),
	}
}
