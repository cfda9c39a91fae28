package check

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	podsecurity "k8s.io/pod-security-admission/api"
	standards "k8s.io/pod-security-admission/policy"

	"archipel/internal/render"
)

// podSecurityLabel is the label of a namespace that says which pods it takes.
const podSecurityLabel = podsecurity.EnforceLevelLabel

// levels are the Pod Security levels, strictest first.
func levels() []podsecurity.Level {
	return []podsecurity.Level{podsecurity.LevelRestricted, podsecurity.LevelBaseline, podsecurity.LevelPrivileged}
}

// strictness orders levels; -1 is none that Kubernetes knows.
func strictness(level string) int {
	for i, known := range levels() {
		if level == string(known) {
			return len(levels()) - i
		}
	}
	return -1
}

// podStandards judges pods as the API server of a site does.
type podStandards struct {
	evaluator standards.Evaluator
	version   podsecurity.Version
}

// standards returns the judge of a site's pods.
func (s *Site) standards() podStandards {
	type key struct{}
	evaluator := once(s.Fleet, key{}, func() standards.Evaluator {
		evaluator, err := standards.NewEvaluator(standards.DefaultChecks(), nil)
		if err != nil {
			panic(err) // the library's own checks contradict one another
		}
		return evaluator
	})
	version := podsecurity.LatestVersion()
	if parts := strings.SplitN(s.Site.Facts.K3sVersion, ".", 3); len(parts) == 3 {
		if v, err := podsecurity.ParseVersion(parts[0] + "." + parts[1]); err == nil {
			version = v
		}
	}
	return podStandards{evaluator, version}
}

// refusal says why the pods of an object are refused at a level: "" when they are not. known is
// false when they cannot be judged: their fields are not what Kubernetes takes, which has its own finding.
func (p podStandards) refusal(o *render.Object, level podsecurity.Level) (why string, known bool) {
	path := podSpec(o)
	var spec corev1.PodSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(mapAt(o.Object, path...), &spec); err != nil {
		return "", false
	}
	var meta metav1.ObjectMeta
	if annotations := mapAt(o.Object, append(path[:len(path)-1:len(path)-1], "metadata", "annotations")...); annotations != nil {
		meta.Annotations = map[string]string{}
		for key, value := range annotations {
			meta.Annotations[key], _ = value.(string)
		}
	}
	result := standards.AggregateCheckResults(p.evaluator.EvaluatePod(podsecurity.LevelVersion{Level: level, Version: p.version}, &meta, &spec))
	if result.Allowed {
		return "", true
	}
	return result.ForbiddenReason(), true
}

// podsIn returns the objects of a namespace that make pods.
func (s *Site) podsIn(namespace string) []*render.Object {
	var found []*render.Object
	for _, o := range s.Render.Objects {
		if podSpec(o) != nil && o.GetNamespace() == namespace {
			found = append(found, o)
		}
	}
	return found
}

// strictest returns the strictest level that all the pods of some objects satisfy; known is false
// when one of them cannot be judged.
func (p podStandards) strictest(pods []*render.Object) (level podsecurity.Level, known bool) {
	for _, level := range levels() {
		refused := false
		for _, o := range pods {
			why, known := p.refusal(o, level)
			if !known {
				return level, false
			}
			refused = refused || why != ""
		}
		if !refused {
			return level, true
		}
	}
	return podsecurity.LevelPrivileged, true
}

// namespaceExample is an example: the Namespace of the app whoami with these labels.
func namespaceExample(labels string) string {
	return overlay("kubernetes/flux/apps/whoami/app/namespace.yaml", `
apiVersion: v1
kind: Namespace
metadata:
  name: whoami
  labels:
`+indent(labels, 4))
}
