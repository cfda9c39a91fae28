package check

import (
	"io/fs"

	"archipel/internal/finding"
)

func linkUnpacked() Rule {
	return Rule{
		ID: "link-unpacked", Group: Layout, Severity: finding.Error,
		Summary: "A symbolic link stands in the Flux tree.",
		Reason: "source-controller packs regular files only (https://github.com/fluxcd/pkg/blob/main/tar/tar.go, " +
			"https://fluxcd.io/flux/components/source/gitrepositories/): what the link leads to does not reach kustomize under this " +
			"name.",
		Bad:  "link: kubernetes/flux/apps/whoami/app/config.yaml -> release.yaml\n",
		Good: "link: kubernetes/ansible/facts.yml -> inventories/fleet.yml\n",
		Fleet: func(f *Fleet) []finding.Finding {
			var findings []finding.Finding
			for _, file := range f.Files {
				if _, err := fs.ReadLink(f.FS, file); err == nil && layer(file) == "flux" && !f.escapes(file) {
					findings = append(findings, problem(finding.Position{File: file}, "write the file itself, or refer to it from a kustomization.yaml", "Flux leaves out symbolic links"))
				}
			}
			return findings
		},
	}
}
