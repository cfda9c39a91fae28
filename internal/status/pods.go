package status

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// maxExplained bounds the requests for pods in one snapshot.
const maxExplained = 4

// explainPods adds to workloads that are not ready what their pods say. It is
// best effort: a workload that stays unexplained still shows its counts.
func (s *Site) explainPods(ctx context.Context, cluster Cluster, g *graph) {
	var all sync.WaitGroup
	explained := 0
	for i := range s.Workloads {
		o := &s.Workloads[i]
		if o.State == Ready || o.Reason == reasonNotObserved || explained == maxExplained {
			continue
		}
		explained++
		labels := matchLabels(g.objects[o.Ref])
		if labels == "" {
			continue
		}
		all.Go(func() {
			pods, err := cluster.List(ctx, schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, o.Namespace, labels)
			if err != nil {
				return
			}
			slices.SortFunc(pods, func(a, b unstructured.Unstructured) int { return cmp.Compare(a.GetName(), b.GetName()) })
			for j := range pods {
				if reason, message := podTrouble(&pods[j]); reason != "" {
					o.Reason, o.Message = reason, oneLine(o.Message+"; pod "+pods[j].GetName()+": "+message)
					if reason != "Unschedulable" {
						o.State = Failed // a place may become free, an image does not appear
					}
					return
				}
			}
		})
	}
	all.Wait()
	for _, o := range s.Workloads {
		g.states[o.Ref] = o
	}
}

func matchLabels(u *unstructured.Unstructured) string {
	labels, _, _ := unstructured.NestedStringMap(u.Object, "spec", "selector", "matchLabels")
	var parts []string
	for key, value := range labels {
		parts = append(parts, key+"="+value)
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// podTrouble says what keeps a pod from becoming ready; "" when nothing does.
// The reasons are the kubelet's and the scheduler's.
func podTrouble(pod *unstructured.Unstructured) (reason, message string) {
	for _, list := range []string{"initContainerStatuses", "containerStatuses"} {
		containers, _, _ := unstructured.NestedSlice(pod.Object, "status", list)
		for _, item := range containers {
			container, _ := item.(map[string]any)
			waiting, _, _ := unstructured.NestedMap(container, "state", "waiting")
			reason := text(waiting["reason"])
			if reason == "" || reason == "ContainerCreating" || reason == "PodInitializing" {
				continue
			}
			said := text(waiting["message"])
			if ended, _, _ := unstructured.NestedMap(container, "lastState", "terminated"); reason == "CrashLoopBackOff" && ended != nil {
				said = strings.TrimSpace("it ended with " + text(ended["reason"]) + " " + text(ended["message"]))
			}
			return reason, "container " + text(container["name"]) + ": " + reason + ": " + said
		}
	}
	if c, ok := pick(conditionsOf(pod), "PodScheduled"); ok && c.status == "False" {
		return c.reason, c.message
	}
	return "", ""
}
