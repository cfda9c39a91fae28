package check

import (
	"slices"

	"archipel/internal/finding"

	podsecurity "k8s.io/pod-security-admission/api"
)

func namespacePodRefused() Rule {
	return Rule{
		ID: "namespace-pod-refused", Group: Cluster, Severity: finding.Error,
		Summary: "A namespace refuses pods that are meant to run in it.",
		Reason: "The Deployment or DaemonSet is created and its pods are not: the API server refuses each of them, and Flux waits until its time is up. Where the namespace has no label, what k3s is told counts: " +
			"k3s_server_pod_security, and k3s_server_pod_security_exempt (https://kubernetes.io/docs/concepts/security/pod-security-admission/).",
		Bad:  overlay("kubernetes/flux/apps/metallb/app/namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: metallb-system\n  labels:\n    pod-security.kubernetes.io/enforce: restricted\n") + inMetalLB(hostPodExample),
		Good: inMetalLB(hostPodExample),
		Site: func(s *Site) []finding.Finding {
			judge := s.standards()
			byDefault, exempt := s.podSecurityDefault()
			labels := map[string]string{}
			for _, o := range s.kinds("", "Namespace") {
				labels[o.GetName()] = o.GetLabels()[podSecurityLabel]
			}
			var found []finding.Finding
			for _, o := range s.Render.Objects {
				if podSpec(o) == nil || slices.Contains(exempt, o.GetNamespace()) {
					continue
				}
				level, from := labels[o.GetNamespace()], "the label of the namespace"
				if level == "" {
					level, from = byDefault, "k3s, because the namespace has no label,"
				}
				if strictness(level) < 0 {
					continue
				}
				if why, known := judge.refusal(o, podsecurity.Level(level)); known && why != "" {
					found = append(found, s.concern(o, "", podSpec(o), "take from the pods what they do not need, or give the namespace the label "+podSecurityLabel+" of what they do",
						"%s asks for %s, which refuses the pods of %s: %s", from, level, named(o), why))
				}
			}
			return found
		},
	}
}

// podSecurityDefault returns what k3s asks of the pods of namespaces without a label, "" when
// the roles do not say, and the namespaces of which it asks nothing.
func (s *Site) podSecurityDefault() (level string, exempt []string) {
	if v := s.variable("k3s_server_pod_security"); v != nil {
		level = v.value.Value
	}
	if v := s.variable("k3s_server_pod_security_exempt"); v != nil {
		for _, n := range v.value.Content {
			exempt = append(exempt, follow(n).Value)
		}
	}
	return level, exempt
}

// inMetalLB is an example that adds one manifest to the app metallb.
func inMetalLB(manifest string) string {
	return overlay("kubernetes/flux/apps/metallb/app/kustomization.yaml", `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - namespace.yaml
  - source.yaml
  - release.yaml
  - example.yaml
`) + overlay("kubernetes/flux/apps/metallb/app/example.yaml", manifest)
}

// hostPodExample is a manifest: a DaemonSet on the network of its hosts.
const hostPodExample = `
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: example
  namespace: metallb-system
spec:
  selector:
    matchLabels:
      app: example
  template:
    metadata:
      labels:
        app: example
    spec:
      hostNetwork: true
      containers:
        - name: example
          image: docker.io/traefik/whoami:v1.11.0
`
