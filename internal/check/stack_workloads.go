package check

import (
	"slices"
	"strconv"

	"archipel/internal/finding"
	"archipel/internal/render"
)

// workload is an object that makes pods.
type workload struct {
	*render.Object
	pod        []string       // path of the description of its pods
	spec       map[string]any // at that path
	labels     map[string]string
	containers []*container // those that run first included
}

// container is one container of a workload's pods.
type container struct {
	path  []string // in the object
	name  string
	spec  map[string]any
	first bool // it ends before the others begin
}

// workloads returns the objects of a site that make pods. The rules of one site run one
// after the other, so that nothing needs to be locked.
func (s *Site) workloads() []*workload {
	if s.made != nil {
		return s.made
	}
	s.made = []*workload{}
	for _, o := range s.Render.Objects {
		pod := podSpec(o)
		if pod == nil {
			continue
		}
		w := &workload{Object: o, pod: pod, spec: mapAt(o.Object, pod...), labels: podLabels(o)}
		if w.spec == nil {
			continue // which the API server refuses
		}
		for _, field := range []string{"initContainers", "containers"} {
			for i, value := range listAt(w.spec, field) {
				spec, _ := value.(map[string]any)
				if spec == nil {
					continue
				}
				w.containers = append(w.containers, &container{
					path: at(pod, field, strconv.Itoa(i)), name: textAt(spec, "name"), spec: spec,
					first: field == "initContainers" && textAt(spec, "restartPolicy") != "Always",
				})
			}
		}
		s.made = append(s.made, w)
	}
	return s.made
}

// at returns a path below another one.
func at(path []string, more ...string) []string { return append(slices.Clip(path), more...) }

// stays says whether the pods of a workload run for ever. Those of jobs and hooks end.
func (w *workload) stays() bool {
	return w.GetKind() != "Job" && w.GetKind() != "CronJob" && !w.Origin.Hook
}

// replicas returns how many pods a workload has that is asked for a number of them; 0 when
// it is none, or when nothing says so.
func (w *workload) replicas() int64 {
	if w.GetKind() != "Deployment" && w.GetKind() != "StatefulSet" || w.Origin.Hook {
		return 0
	}
	n, ok := intAt(w.Object.Object, "spec", "replicas")
	if !ok {
		return 1
	}
	return n
}

// autoscaler returns the HorizontalPodAutoscaler that gives a workload its number of pods;
// nil when there is none.
func (s *Site) autoscaler(w *workload) *render.Object {
	for _, o := range s.kinds("autoscaling", "HorizontalPodAutoscaler") {
		if o.GetNamespace() == w.GetNamespace() && textAt(o.Object, "spec", "scaleTargetRef", "name") == w.GetName() && textAt(o.Object, "spec", "scaleTargetRef", "kind") == w.GetKind() {
			return o
		}
	}
	return nil
}

// pods is the least number of pods that a workload has, whoever decides on it.
func (s *Site) pods(w *workload) int64 {
	n := w.replicas()
	if n == 0 {
		return 0
	}
	if a := s.autoscaler(w); a != nil {
		if least, ok := intAt(a.Object, "spec", "minReplicas"); ok {
			return least
		}
		return 1
	}
	return n
}

// budgets returns the PodDisruptionBudgets that select the pods of a workload.
func (s *Site) budgets(w *workload) []*render.Object {
	return slices.DeleteFunc(s.kinds("policy", "PodDisruptionBudget"), func(o *render.Object) bool {
		return o.GetNamespace() != w.GetNamespace() || !matches(mapAt(o.Object, "spec", "selector"), w.labels)
	})
}

// services returns the Services that select the pods of a workload.
func (s *Site) services(w *workload) []*render.Object {
	return slices.DeleteFunc(s.kinds("", "Service"), func(o *render.Object) bool {
		selector := mapAt(o.Object, "spec", "selector")
		return len(selector) == 0 || o.GetNamespace() != w.GetNamespace() || !selectedBy(selector, w.labels)
	})
}

// matches says whether a label selector selects labels. An empty one selects all.
func matches(selector map[string]any, labels map[string]string) bool {
	if !selectedBy(mapAt(selector, "matchLabels"), labels) {
		return false
	}
	for _, expression := range listAt(selector, "matchExpressions") {
		value, has := labels[textAt(expression, "key")]
		in := has && slices.Contains(textsAt(expression, "values"), value)
		switch textAt(expression, "operator") {
		case "In":
			if !in {
				return false
			}
		case "NotIn":
			if in {
				return false
			}
		case "Exists":
			if !has {
				return false
			}
		case "DoesNotExist":
			if has {
				return false
			}
		}
	}
	return true
}

// selects says whether a label selector selects the pods of anything in a namespace.
func (s *Site) selects(selector map[string]any, namespace string) bool {
	return slices.ContainsFunc(s.workloads(), func(w *workload) bool {
		return w.GetNamespace() == namespace && matches(selector, w.labels)
	})
}

// operated says whether the pods that an object selects may be made by an operator, or be in
// what was not rendered: nobody can say here that there are none.
func (s *Site) operated(o *render.Object) bool {
	return o.Origin.Release != nil && !fromGit(o.Origin.Release) ||
		slices.ContainsFunc(s.Render.Releases, func(r *render.Release) bool { return !r.Rendered })
}

// secured returns a field of a container's security context, or else that of its pod.
func (w *workload) secured(c *container, field ...string) any {
	if v := valueAt(c.spec, at([]string{"securityContext"}, field...)...); v != nil {
		return v
	}
	return valueAt(w.spec, at([]string{"securityContext"}, field...)...)
}

// privileged says whether a container has all that the node has: what else it may do does
// not matter then.
func (c *container) privileged() bool { return isTrue(c.spec, "securityContext", "privileged") }

// capabilities returns those that a container adds or drops, without the prefix that some write.
func (c *container) capabilities(list string) []string {
	names := textsAt(c.spec, "securityContext", "capabilities", list)
	for i, name := range names {
		if len(name) > 4 && name[:4] == "CAP_" {
			names[i] = name[4:]
		}
	}
	return names
}

// flaw is what is wrong with a workload or one of its containers.
type flaw struct {
	field []string // below the container, or below the description of the pods
	fix   string
	says  string // what the container or the workload does: "is privileged"
}

// eachContainer makes a rule's function of one that looks at a container; nil means that
// nothing is wrong.
func eachContainer(check func(*workload, *container) *flaw) func(*Site) []finding.Finding {
	return func(s *Site) []finding.Finding {
		var found []finding.Finding
		for _, w := range s.workloads() {
			for _, c := range w.containers {
				if f := check(w, c); f != nil {
					found = append(found, s.concern(w.Object, c.name, at(c.path, f.field...), f.fix, "container %s of %s %s", c.name, named(w.Object), f.says))
				}
			}
		}
		return found
	}
}

// eachPod makes a rule's function of one that looks at the description of a workload's pods.
func eachPod(check func(*Site, *workload) *flaw) func(*Site) []finding.Finding {
	return func(s *Site) []finding.Finding {
		var found []finding.Finding
		for _, w := range s.workloads() {
			if f := check(s, w); f != nil {
				found = append(found, s.concern(w.Object, "", at(w.pod, f.field...), f.fix, "%s %s", named(w.Object), f.says))
			}
		}
		return found
	}
}

// eachWorkload is eachPod, but the field stands below the object.
func eachWorkload(check func(*Site, *workload) *flaw) func(*Site) []finding.Finding {
	return func(s *Site) []finding.Finding {
		var found []finding.Finding
		for _, w := range s.workloads() {
			if f := check(s, w); f != nil {
				found = append(found, s.concern(w.Object, "", f.field, f.fix, "%s %s", named(w.Object), f.says))
			}
		}
		return found
	}
}

// eachObject makes a rule's function of one that looks at objects of some kinds.
func eachObject(apiGroup, kind string, check func(*Site, *render.Object) *flaw) func(*Site) []finding.Finding {
	return func(s *Site) []finding.Finding {
		var found []finding.Finding
		for _, o := range s.kinds(apiGroup, kind) {
			if f := check(s, o); f != nil {
				found = append(found, s.concern(o, "", f.field, f.fix, "%s %s", named(o), f.says))
			}
		}
		return found
	}
}

// deploymentExample is an example: a Deployment with fields of its own, of its pods and of
// its container.
func deploymentExample(spec, pod, container string) string {
	return inWhoami(`
apiVersion: apps/v1
kind: Deployment
metadata:
  name: example
  namespace: whoami
spec:
` + indented(spec, 2) + `  selector:
    matchLabels:
      app: example
  template:
    metadata:
      labels:
        app: example
    spec:
` + indented(pod, 6) + `      containers:
        - name: example
          image: registry.example.org/example:1.0.0
` + indented(container, 10))
}

// containerExample is an example: a Deployment whose container has fields.
func containerExample(fields string) string { return deploymentExample("", "", fields) }

// podFieldsExample is an example: a Deployment whose pods have fields.
func podFieldsExample(fields string) string { return deploymentExample("", fields, "") }

// indented is indent, but of nothing it makes nothing.
func indented(text string, by int) string {
	if text == "" {
		return ""
	}
	return indent(text, by)
}
