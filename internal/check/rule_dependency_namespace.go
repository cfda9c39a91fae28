package check

import (
	"slices"

	"archipel/internal/finding"
)

func dependencyNamespace() Rule {
	return Rule{
		ID: "dependency-namespace", Group: Flux, Severity: finding.Error,
		Summary: "A dependsOn names an object of another namespace without saying which.",
		Reason: "A dependency without a namespace is looked for beside its dependent, where it never appears, so Flux waits for ever " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/#dependencies).",
		Bad: whoamiWith("prune: true\n") + overlay("kubernetes/flux/apps/whoami/kustomization.yaml", `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ks.yaml
  - other.yaml
`) + overlay("kubernetes/flux/apps/whoami/other.yaml", `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: other
  namespace: default
spec:
  path: ./kubernetes/flux/apps/metallb/config
  prune: false
  sourceRef:
    kind: GitRepository
    name: flux-system
    namespace: flux-system
  dependsOn:
    - name: metallb
`),
		Good: whoamiWith("prune: true\ndependsOn:\n  - name: metallb\n    namespace: flux-system\n"),
		Site: func(s *Site) []finding.Finding {
			namespaces := map[string][]string{} // by kind and name
			for _, o := range s.dependents() {
				key := node(o.GetKind(), "", o.GetName())
				namespaces[key] = append(namespaces[key], o.GetNamespace())
			}
			var found []finding.Finding
			for _, o := range s.dependents() {
				for _, d := range dependencies(o) {
					in := namespaces[node(o.GetKind(), "", d.name)]
					if d.stated || len(in) == 0 || slices.Contains(in, d.namespace) {
						continue
					}
					found = append(found, problem(s.At(o, "spec", "dependsOn", d.index, "name"), "add namespace: "+in[0],
						"%s depends on %s of its own namespace, but the one of that name is in namespace %s", named(o), d.name, in[0]))
				}
			}
			return found
		},
	}
}
