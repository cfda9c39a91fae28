package check

import (
	"archipel/internal/finding"
)

func meshPeerOneSided() Rule {
	var note meshPeers
	return Rule{
		ID: "mesh-peer-one-sided", Group: Network, Severity: finding.Error,
		Summary: "A site looks for another one that does not look back, or that is no site.",
		Reason: "Clusters of a mesh know each other pairwise (https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/): with " +
			"one direction only, services of the one have backends in the other, whose pods cannot answer by name.",
		Bad:  overlay("kubernetes/flux/clusters/site-b/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - ../../base/flux-system\n  - site.yaml\n  - ../../apps/cilium\n  - ../../apps/metallb\n  - ../../apps/whoami\ncomponents:\n  - ../../base/defaults\npatches:\n  - target:\n      kind: Kustomization\n      name: cilium\n    patch: |\n      - op: add\n        path: /spec/patches\n        value:\n          - target:\n              kind: HelmRelease\n            patch: |\n              - op: add\n                path: /spec/values/clustermesh/config\n                value: {enabled: true, clusters: {site-c: {ips: [192.0.2.200], port: 2379}}}\n"),
		Good: "",
		Site: note.site, Fleet: note.compare,
	}
}
