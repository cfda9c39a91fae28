package check

import (
	"fmt"

	"archipel/internal/finding"
)

func networkLayerReleaseDiffers() Rule {
	return Rule{
		ID: "network-layer-release-differs", Group: Flux, Severity: finding.Error,
		Summary: "The HelmRelease of Cilium is not the release that the bootstrap installs.",
		Reason: "A site gets Cilium before Flux, as release cilium, stored in and installed to kube-system. Flux adopts that release when name, storage and target agree; otherwise it " +
			"installs a second one and fails over objects that belong to the first (https://fluxcd.io/flux/components/helm/helmreleases/#storage-namespace).",
		Bad:  ciliumRelease("targetNamespace: kube-system\n"),
		Good: ciliumRelease("releaseName: cilium\ntargetNamespace: kube-system\nstorageNamespace: kube-system\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, r := range s.networkReleases() {
				for _, field := range []struct{ name, got, want string }{
					{"releaseName", r.ReleaseName, "cilium"},
					{"targetNamespace", r.TargetNamespace, "kube-system"},
					{"storageNamespace", r.StorageNamespace, "kube-system"},
				} {
					if field.got != field.want {
						found = append(found, problem(s.At(r.Object, "spec", field.name), fmt.Sprintf("set spec.%s to %s", field.name, field.want),
							"%s of %s is %s, but the bootstrap uses %s", field.name, named(r.Object), field.got, field.want))
					}
				}
			}
			return found
		},
	}
}
