package check

import (
	"archipel/internal/finding"
	"archipel/internal/render"
)

func crdSameKustomization() Rule {
	return Rule{
		ID: "crd-same-kustomization", Group: Flux, Severity: finding.Error,
		Summary: "An object stands in the Kustomization that installs the definition (CRD) of its kind.",
		Reason: "kustomize-controller asks the API server about all objects of a Kustomization before it applies any. A kind that a HelmRelease of the same Kustomization will define is " +
			"unknown then, so nothing is applied, the HelmRelease included, and the site never gets further. Definitions and objects stand in two Kustomizations, the second depending on " +
			"the first (https://fluxcd.io/flux/components/kustomize/kustomizations/#dependencies; docs/architecture.md).",
		Bad: overlay("kubernetes/flux/apps/metallb/app/kustomization.yaml", `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - namespace.yaml
  - source.yaml
  - release.yaml
  - ../config
`),
		Good: overlay("kubernetes/flux/apps/metallb/app/kustomization.yaml", `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - namespace.yaml
  - source.yaml
  - release.yaml
`),
		Site: func(s *Site) []finding.Finding {
			type kind struct {
				in          *render.Kustomization
				group, name string // name is "" for all kinds of a group
			}
			defined := map[kind]*render.Object{}
			for _, o := range s.kinds("apiextensions.k8s.io", "CustomResourceDefinition") {
				defined[kind{owner(o), textAt(o.Object, "spec", "group"), textAt(o.Object, "spec", "names", "kind")}] = o
			}
			// What is known of charts that could not be had.
			for _, r := range s.Render.Releases {
				if definitions := chartGroups()[r.Chart.Name]; definitions != "" && r.Object != nil {
					defined[kind{r.Object.Origin.Kustomization, definitions, ""}] = r.Object
				}
			}
			var found []finding.Finding
			for _, o := range s.Render.Objects {
				k := o.Origin.Kustomization
				if k == nil || o.Origin.Release != nil {
					continue
				}
				by := defined[kind{k, group(o), o.GetKind()}]
				if by == nil {
					by = defined[kind{k, group(o), ""}]
				}
				if by == nil {
					continue
				}
				f := problem(s.At(o, "kind"), "move it to a Kustomization of its own that depends on this one",
					"%s is applied by %s, which also installs the definition of its kind, through %s", named(o), k.Name, named(by))
				if by.GetKind() == "CustomResourceDefinition" && by.Origin.Release == nil {
					f.Severity = finding.Warning // Flux applies definitions first; other tools, and a dry run, do not
				}
				found = append(found, f)
			}
			return found
		},
	}
}

// chartGroups are the API groups that charts in wide use define.
func chartGroups() map[string]string {
	return map[string]string{
		"metallb": metallbAPI, "cilium": "cilium.io", "cert-manager": "cert-manager.io", "kube-prometheus-stack": "monitoring.coreos.com",
		"external-secrets": "external-secrets.io", "traefik": "traefik.io", "longhorn": "longhorn.io",
	}
}
