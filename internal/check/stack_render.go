package check

// patchExample is a kustomization.yaml whose patch has no target.
const patchExample = `
resources:
  - namespace.yaml
  - release.yaml
patches:
  - patch: |
      apiVersion: v1
      kind: ConfigMap
      metadata:
        name: nothing
      data:
        key: value
`

// noDefaults is an example: the Flux Kustomization of the app whoami without the defaults of
// all others, and with this postBuild.
func noDefaults(postBuild string) string {
	if postBuild != "" {
		postBuild = "  postBuild:\n" + indent(postBuild, 4)
	}
	return overlay("kubernetes/flux/apps/whoami/ks.yaml", `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: whoami
  namespace: flux-system
  labels:
    archipel/defaults: none
spec:
  interval: 10m
  retryInterval: 30s
  path: ./kubernetes/flux/apps/whoami/app
  prune: true
  sourceRef:
    kind: GitRepository
    name: flux-system
`+postBuild)
}

// chartsRelease is a manifest: a HelmRelease with a chart of the repository of repositoryExample.
const chartsRelease = `
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: example
  namespace: flux-system
spec:
  interval: 1h
  chart:
    spec:
      chart: example
      version: 1.0.0
      sourceRef:
        kind: HelmRepository
        name: charts
`

// artefactExample is an example: a chart of this version as an OCI artefact with the tag 1.0.0.
func artefactExample(version string) string {
	return overlay("charts/greeter-1.0.0/Chart.yaml", "apiVersion: v2\nname: greeter\nversion: "+version+"\n") +
		overlay("charts/greeter-1.0.0/templates/configmap.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: greeter\ndata: {}\n") +
		inWhoami(`
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata:
  name: greeter
  namespace: flux-system
spec:
  interval: 1h
  url: oci://registry.example.org/greeter
  ref:
    tag: 1.0.0
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: greeter
  namespace: flux-system
spec:
  interval: 1h
  chartRef:
    kind: OCIRepository
    name: greeter
`)
}

// postRendererExample is a spec with a patch that replaces a field of the Deployment.
func postRendererExample(path string) string {
	return `
interval: 1h
postRenderers:
  - kustomize:
      patches:
        - target:
            kind: Deployment
          patch: |
            - op: add
              path: ` + path + `
              value: 5
`
}
