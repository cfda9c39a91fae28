package check

import "archipel/internal/finding"

func gitURLCredentials() Rule {
	return Rule{
		ID: "git-url-credentials", Group: Inventory, Severity: finding.Error,
		Summary: "The URL of the repository holds a user name or a password.",
		Reason: "The inventory is not encrypted, and the URL is copied to a ConfigMap of every site. Flux takes credentials from a " +
			"Secret (https://fluxcd.io/flux/components/source/gitrepositories/#secret-reference).",
		Bad:  sharedWith("git_url: https://me:secret@git.example.org/fleet.git"),
		Good: sharedWith("git_url: https://git.example.org/fleet.git"),
	}
}
