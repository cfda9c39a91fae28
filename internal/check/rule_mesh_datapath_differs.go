package check

import (
	"archipel/internal/finding"
)

func meshDatapathDiffers() Rule {
	note := meshValues{fix: "give all sites the same value", paths: []string{"routingMode", "tunnelProtocol", "ipv4.enabled", "ipv6.enabled"}}
	return Rule{
		ID: "mesh-datapath-differs", Group: Network, Severity: finding.Error,
		Summary: "Cilium routes packets in another way at one site than at the others.",
		Reason: "Nodes of all sites exchange packets of pods directly, so that they must route, or encapsulate, in the same way " +
			"(https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/#prerequisites: \"all clusters must be configured with " +
			"the same datapath mode\").",
		Bad:  overlay("kubernetes/flux/clusters/site-b/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - ../../base/flux-system\n  - site.yaml\n  - ../../apps/cilium\n  - ../../apps/metallb\n  - ../../apps/whoami\ncomponents:\n  - ../../base/defaults\npatches:\n  - target:\n      kind: Kustomization\n      name: cilium\n    patch: |\n      - op: add\n        path: /spec/patches\n        value:\n          - target:\n              kind: HelmRelease\n            patch: |\n              - op: add\n                path: /spec/values/routingMode\n                value: tunnel\n"),
		Good: overlay("kubernetes/flux/clusters/site-b/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - ../../base/flux-system\n  - site.yaml\n  - ../../apps/cilium\n  - ../../apps/metallb\n  - ../../apps/whoami\ncomponents:\n  - ../../base/defaults\npatches:\n  - target:\n      kind: Kustomization\n      name: cilium\n    patch: |\n      - op: add\n        path: /spec/patches\n        value:\n          - target:\n              kind: HelmRelease\n            patch: |\n              - op: add\n                path: /spec/values/debug\n                value: {enabled: true}\n"),
		Site: note.site, Fleet: note.compare,
	}
}
