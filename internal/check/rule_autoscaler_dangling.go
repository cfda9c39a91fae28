package check

import (
	"slices"
	"strconv"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func autoscalerDangling() Rule {
	return Rule{
		ID: "autoscaler-dangling", Group: Workloads, Severity: finding.Warning,
		Summary: "A HorizontalPodAutoscaler scales something that nothing declares.",
		Reason:  "Nothing is scaled, whatever the load (https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/). Only Deployments and StatefulSets are looked for.",
		Bad:     autoscalerExample("other", 2),
		Good:    autoscalerExample("example", 2),
		Covers:  []string{"kube-linter dangling-horizontalpodautoscaler"},
		Site: eachObject("autoscaling", "HorizontalPodAutoscaler", func(s *Site, o *render.Object) *flaw {
			kind, name := textAt(o.Object, "spec", "scaleTargetRef", "kind"), textAt(o.Object, "spec", "scaleTargetRef", "name")
			if kind != "Deployment" && kind != "StatefulSet" || s.operated(o) || slices.ContainsFunc(s.kinds("apps", kind), func(t *render.Object) bool {
				return t.GetName() == name && t.GetNamespace() == o.GetNamespace()
			}) {
				return nil
			}
			return &flaw{[]string{"spec", "scaleTargetRef", "name"}, "name a workload of the same namespace", "scales " + kind + " " + name + ", which nothing declares"}
		}),
	}
}

// autoscalerExample is an example: a Deployment and an autoscaler.
func autoscalerExample(target string, least int) string {
	return containerExample("resources:\n  requests:\n    cpu: 10m\n") + `---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: example
  namespace: whoami
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: ` + target + `
  minReplicas: ` + strconv.Itoa(least) + `
  maxReplicas: 5
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: 80
`
}
