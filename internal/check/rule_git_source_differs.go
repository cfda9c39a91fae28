package check

import (
	"archipel/internal/finding"
	"archipel/internal/fleet"
)

func gitSourceDiffers() Rule {
	return Rule{
		ID: "git-source-differs", Group: Network, Severity: finding.Warning,
		Summary: "Sites follow different repositories or branches.",
		Reason: "What archipel checks is this tree; a site that follows another branch runs something that nobody looked at together " +
			"with the rest. For a staged rollout say so in an ignore.",
		Bad:  factsWith("git_branch: next"),
		Good: sharedWith("git_branch: next"),
		Fleet: func(f *Fleet) []finding.Finding {
			return f.disagree("git_branch", func(s *fleet.Site) string { return s.Facts.GitBranch }, "state it once, in fleet.yml", "so that sites run different trees")
		},
	}
}
