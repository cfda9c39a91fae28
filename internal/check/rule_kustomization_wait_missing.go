package check

import (
	"archipel/internal/finding"
)

func kustomizationWaitMissing() Rule {
	return Rule{
		ID: "kustomization-wait-missing", Group: Flux, Severity: finding.Warning,
		Summary: "Others depend on a Kustomization that does not wait for what it applies.",
		Reason: "Without wait or healthChecks a Kustomization is ready as soon as the API server took its objects: a HelmRelease in it may not even have begun, and its " +
			"dependents start too early (https://fluxcd.io/flux/components/kustomize/kustomizations/#wait).",
		Bad: overlay("kubernetes/flux/apps/whoami/ks.yaml", `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: whoami
  namespace: flux-system
spec:
  path: ./kubernetes/flux/apps/whoami/app
  prune: true
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: after
  namespace: flux-system
spec:
  path: ./kubernetes/flux/apps/after
  prune: true
  dependsOn:
    - name: whoami
`) + overlay("kubernetes/flux/apps/after/example.yaml", configMapExample),
		Good: overlay("kubernetes/flux/apps/whoami/ks.yaml", `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: whoami
  namespace: flux-system
spec:
  path: ./kubernetes/flux/apps/whoami/app
  prune: true
  wait: true
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: after
  namespace: flux-system
spec:
  path: ./kubernetes/flux/apps/after
  prune: true
  dependsOn:
    - name: whoami
`) + overlay("kubernetes/flux/apps/after/example.yaml", configMapExample),
		Site: func(s *Site) []finding.Finding {
			wanted := map[string]string{} // who asks first, by what it asks for
			for _, o := range s.kinds(kustomizeAPI, "Kustomization") {
				for _, d := range dependencies(o) {
					if key := reference(d.namespace, d.name); wanted[key] == "" {
						wanted[key] = o.GetName()
					}
				}
			}
			var found []finding.Finding
			for _, o := range s.kinds(kustomizeAPI, "Kustomization") {
				by := wanted[reference(o.GetNamespace(), o.GetName())]
				if by == "" || by == o.GetName() || waits(o) {
					continue
				}
				found = append(found, problem(s.At(o, "spec", "wait"), "set spec.wait to true, or list healthChecks",
					"Kustomization %s depends on %s, which is ready before what it applies is", by, o.GetName()))
			}
			return found
		},
	}
}

// configMapExample is a manifest for examples that need any object.
const configMapExample = `
apiVersion: v1
kind: ConfigMap
metadata:
  name: example
  namespace: whoami
data:
  key: value
`
