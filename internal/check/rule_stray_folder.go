package check

import (
	"archipel/internal/finding"
)

func strayFolder() Rule {
	var note strays
	return Rule{
		ID: "stray-folder", Group: Layout, Severity: finding.Warning,
		Summary: "A folder of the Flux tree is used by no site.",
		Reason: "Flux reads a site's folder and what it leads to. An app that no site lists runs nowhere, and its versions are updated " +
			"for nobody.",
		Bad:  overlay("kubernetes/flux/apps/forgotten/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n"),
		Good: "",
		Site: note.site, Fleet: note.fleet(true),
	}
}
