package check

import "archipel/internal/finding"

func gitURLInvalid() Rule {
	return Rule{
		ID: "git-url-invalid", Group: Inventory, Severity: finding.Error,
		Summary: "The URL of the repository is none that Flux can pull.",
		Reason: "A GitRepository takes http, https and ssh URLs; the short form host:path of scp is refused " +
			"(https://fluxcd.io/flux/components/source/gitrepositories/#url).",
		Bad:  sharedWith("git_url: git@git.example.org:fleet.git"),
		Good: sharedWith("git_url: ssh://git@git.example.org/fleet.git"),
	}
}
