package check

import (
	"archipel/internal/finding"
)

func meshEncryptionDiffers() Rule {
	note := meshValues{fix: "give all sites the same value", paths: []string{"encryption.enabled", "encryption.type", "encryption.nodeEncryption"}}
	return Rule{
		ID: "mesh-encryption-differs", Group: Network, Severity: finding.Error,
		Summary: "Cilium encrypts at one site and not, or otherwise, at another.",
		Reason: "There is no mixed mode: a node that encrypts takes no plain packets of pods from the other site, or sends none that can " +
			"be read there (https://docs.cilium.io/en/stable/security/network/encryption-wireguard/).",
		Bad:  overlay("kubernetes/flux/clusters/site-b/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - ../../base/flux-system\n  - site.yaml\n  - ../../apps/cilium\n  - ../../apps/metallb\n  - ../../apps/whoami\ncomponents:\n  - ../../base/defaults\npatches:\n  - target:\n      kind: Kustomization\n      name: cilium\n    patch: |\n      - op: add\n        path: /spec/patches\n        value:\n          - target:\n              kind: HelmRelease\n            patch: |\n              - op: add\n                path: /spec/values/encryption\n                value: {enabled: false}\n"),
		Good: overlay("kubernetes/flux/clusters/site-b/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - ../../base/flux-system\n  - site.yaml\n  - ../../apps/cilium\n  - ../../apps/metallb\n  - ../../apps/whoami\ncomponents:\n  - ../../base/defaults\npatches:\n  - target:\n      kind: Kustomization\n      name: cilium\n    patch: |\n      - op: add\n        path: /spec/patches\n        value:\n          - target:\n              kind: HelmRelease\n            patch: |\n              - op: add\n                path: /spec/values/debug\n                value: {enabled: true}\n"),
		Site: note.site, Fleet: note.compare,
	}
}
