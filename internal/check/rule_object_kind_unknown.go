package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/schema"
)

func objectKindUnknown() Rule {
	return Rule{
		ID: "object-kind-unknown", Group: Kubernetes, Severity: finding.Error,
		Summary: "The API server of the site has no such kind, and nothing that the site runs defines it.",
		Reason: "The API server refuses the object, and Flux everything in the same Kustomization, also what is right " +
			"(https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/custom-resources/). While a chart or an artefact is not available, kinds of unknown groups are " +
			"skipped; so are those of Cilium, whose operator installs the definitions when it starts.",
		Bad:  inWhoami(strings.Replace(configMapExample, "kind: ConfigMap", "kind: ConfigMaps", 1)),
		Good: inWhoami(configMapExample),
		Site: func(s *Site) []finding.Finding {
			found := refused(schema.UnknownKind)(s)
			for _, r := range s.refusals() {
				if r.Kind != schema.DefinitionMissing {
					continue
				}
				switch {
				case slices.Contains(fluxKinds(), r.object.GetKind()) && strings.HasSuffix(group(r.object), ".fluxcd.io"):
					// The bootstrap installs Flux before it applies any of this.
				case group(r.object) == "cilium.io" && slices.Contains(ciliumKinds(), r.object.GetKind()) && len(s.networkReleases()) > 0:
					s.Skip("cilium-definitions-missing", "Cilium's operator installs the definitions of its kinds when it starts: its objects are not held to them")
				case s.incomplete() && len(s.Render.Skipped) == 0:
					// It may be in what failed.
				case s.incomplete():
					s.Skip("definition-missing", "the definition of a kind is in a chart or an artefact that is not available: its objects are not held to it")
				default:
					found = append(found, problem(s.At(r.object, "kind"), "install what defines it, in a Kustomization that this one depends on", "%s: %s", made(r.object), r.Message))
				}
			}
			return found
		},
	}
}

// fluxKinds are the kinds that Flux's release manifests define.
func fluxKinds() []string {
	return []string{
		"Alert", "ArtifactGenerator", "Bucket", "ExternalArtifact", "GitRepository", "HelmChart", "HelmRelease", "HelmRepository", "ImagePolicy", "ImageRepository",
		"ImageUpdateAutomation", "Kustomization", "OCIRepository", "Provider", "Receiver",
	}
}

// ciliumKinds are the kinds that Cilium's operator defines (pkg/k8s/apis/cilium.io/client of Cilium).
func ciliumKinds() []string {
	return []string{
		"CiliumBGPAdvertisement", "CiliumBGPClusterConfig", "CiliumBGPNodeConfig", "CiliumBGPNodeConfigOverride", "CiliumBGPPeerConfig", "CiliumCIDRGroup",
		"CiliumClusterwideEnvoyConfig", "CiliumClusterwideNetworkPolicy", "CiliumEgressGatewayPolicy", "CiliumEndpoint", "CiliumEndpointSlice", "CiliumEnvoyConfig",
		"CiliumGatewayClassConfig", "CiliumIdentity", "CiliumL2AnnouncementPolicy", "CiliumLoadBalancerIPPool", "CiliumLocalRedirectPolicy", "CiliumNetworkPolicy",
		"CiliumNode", "CiliumNodeConfig", "CiliumPodIPPool", "CiliumVTEPConfig",
	}
}
