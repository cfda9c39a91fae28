package check

import (
	"archipel/internal/finding"
)

func strayFile() Rule {
	var note strays
	return Rule{
		ID: "stray-file", Group: Layout, Severity: finding.Warning,
		Summary: "A file of the Flux tree is used by no site.",
		Reason: "Flux reads a site's folder and what it leads to. A manifest that no kustomization.yaml lists looks as if it were " +
			"applied, and is not.",
		Bad:  overlay("kubernetes/flux/apps/cilium/app/policy.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: forgotten\n"),
		Good: "",
		Site: note.site, Fleet: note.fleet(false),
	}
}
