package check

import (
	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
)

func yamlAnchorUnused() Rule {
	return Rule{
		ID: "yaml-anchor-unused", Group: YAML, Severity: finding.Warning,
		Summary: "An anchor is never used.",
		Reason: "An anchor without an alias says that something is shared which is not; most often the alias was lost, or its name " +
			"mistyped.",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: &shared value\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: &shared value\nother: *shared\n"),
		File: func(f *File) []finding.Finding {
			var findings []finding.Finding
			for _, document := range f.Documents {
				used := map[*yaml.Node]bool{}
				var anchors []*yaml.Node
				var walk func(n *yaml.Node)
				walk = func(n *yaml.Node) {
					if n.Kind == yaml.AliasNode {
						used[n.Alias] = true
						return
					}
					if n.Anchor != "" {
						anchors = append(anchors, n)
					}
					for _, c := range n.Content {
						walk(c)
					}
				}
				walk(document)
				for _, n := range anchors {
					if !used[n] {
						findings = append(findings, problem(f.Position(n), "remove the anchor, or use it", "the anchor %s is never used", n.Anchor))
					}
				}
			}
			return findings
		},
	}
}
