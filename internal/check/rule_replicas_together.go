package check

import (
	"archipel/internal/finding"
)

func replicasTogether() Rule {
	return Rule{
		ID: "replicas-together", Group: Workloads, Severity: finding.Warning,
		Summary: "Nothing keeps the pods of a workload on different nodes.",
		Reason: "Two pods on one node are both away when it is (https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/, " +
			"https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity).",
		Bad: deploymentExample("replicas: 2\n", "", ""),
		Good: deploymentExample("replicas: 2\n",
			"topologySpreadConstraints:\n  - maxSkew: 1\n    topologyKey: kubernetes.io/hostname\n    whenUnsatisfiable: ScheduleAnyway\n    labelSelector:\n      matchLabels:\n        app: example\n", ""),
		Covers: []string{"kube-linter no-anti-affinity"},
		Site: eachPod(func(s *Site, w *workload) *flaw {
			if s.pods(w) < 2 || len(listAt(w.spec, "topologySpreadConstraints")) > 0 || len(mapAt(w.spec, "affinity", "podAntiAffinity")) > 0 {
				return nil
			}
			return &flaw{[]string{"affinity"}, "add topologySpreadConstraints over kubernetes.io/hostname, or a podAntiAffinity", "may have all its pods on one node"}
		}),
	}
}
