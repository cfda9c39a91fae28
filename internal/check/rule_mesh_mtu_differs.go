package check

import (
	"archipel/internal/finding"
)

func meshMTUDiffers() Rule {
	note := meshValues{fix: "state mtu once, in fleet.yml", paths: []string{"MTU"}}
	return Rule{
		ID: "mesh-mtu-differs", Group: Network, Severity: finding.Error,
		Summary: "Cilium gives pods another MTU at one site than at the others.",
		Reason: "Pods of all sites talk to one another directly: the larger packets of one site are dropped at the other where path MTU " +
			"discovery is filtered.",
		Bad:  overlay("kubernetes/flux/clusters/site-b/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - ../../base/flux-system\n  - site.yaml\n  - ../../apps/cilium\n  - ../../apps/metallb\n  - ../../apps/whoami\ncomponents:\n  - ../../base/defaults\npatches:\n  - target:\n      kind: Kustomization\n      name: cilium\n    patch: |\n      - op: add\n        path: /spec/patches\n        value:\n          - target:\n              kind: HelmRelease\n            patch: |\n              - op: add\n                path: /spec/values/MTU\n                value: 1300\n"),
		Good: overlay("kubernetes/flux/clusters/site-b/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - ../../base/flux-system\n  - site.yaml\n  - ../../apps/cilium\n  - ../../apps/metallb\n  - ../../apps/whoami\ncomponents:\n  - ../../base/defaults\npatches:\n  - target:\n      kind: Kustomization\n      name: cilium\n    patch: |\n      - op: add\n        path: /spec/patches\n        value:\n          - target:\n              kind: HelmRelease\n            patch: |\n              - op: add\n                path: /spec/values/MTU\n                value: 0\n"),
		Site: note.site, Fleet: note.compare,
	}
}
