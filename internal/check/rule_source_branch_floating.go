package check

import (
	"strings"

	"archipel/internal/finding"
)

func sourceBranchFloating() Rule {
	return Rule{
		ID: "source-branch-floating", Group: Flux, Severity: finding.Error,
		Summary: "A GitRepository of somebody else follows a branch or a range of tags.",
		Reason: "Every push to that repository is applied to every site, unseen. A site follows a branch of its own repository only, where changes are reviewed " +
			"(https://fluxcd.io/flux/components/source/gitrepositories/#reference).",
		Bad:  inWhoami(gitExample("branch: main")),
		Good: inWhoami(gitExample("tag: v1.4.2")),
		Site: func(s *Site) []finding.Finding {
			const fix = "name a tag, or a commit"
			var found []finding.Finding
			for _, from := range s.Render.Sources {
				o := from.Object
				if from.Kind != "GitRepository" || from.Local || o == nil || from.URL == s.Site.Facts.GitURL {
					continue
				}
				ref := mapAt(o.Object, "spec", "ref")
				switch {
				case textAt(ref, "commit") != "":
				case textAt(ref, "semver") != "":
					found = append(found, problem(s.At(o, "spec", "ref", "semver"), fix, "%s follows the range %q", named(o), textAt(ref, "semver")))
				case textAt(ref, "tag") != "", textAt(ref, "name") != "" && !strings.HasPrefix(textAt(ref, "name"), "refs/heads/"):
				default:
					found = append(found, problem(s.At(o, "spec", "ref"), fix, "%s follows a branch of a repository that is not this one", named(o)))
				}
			}
			return found
		},
	}
}

func gitExample(ref string) string {
	return `
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata:
  name: elsewhere
  namespace: flux-system
spec:
  interval: 1h
  url: https://git.example.org/elsewhere.git
  ref:
    ` + ref + `
`
}
