package check

import (
	"slices"
	"strconv"

	"archipel/internal/render"
)

// podSpec returns where the pods of an object are described; nil when it makes none.
func podSpec(o *render.Object) []string {
	switch group(o) + "/" + o.GetKind() {
	case "/Pod":
		return []string{"spec"}
	case "apps/Deployment", "apps/DaemonSet", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "batch/Job":
		return []string{"spec", "template", "spec"}
	case "batch/CronJob":
		return []string{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	return nil
}

// podLabels returns the labels that the pods of an object get.
func podLabels(o *render.Object) map[string]string {
	path := podSpec(o)
	if path == nil {
		return nil
	}
	found := map[string]string{}
	for key, value := range mapAt(o.Object, append(path[:len(path)-1:len(path)-1], "metadata", "labels")...) {
		if text, ok := value.(string); ok {
			found[key] = text
		}
	}
	return found
}

// fromGit says whether a release's chart stands in this repository.
func fromGit(r *render.Release) bool { return r.Chart.Source != nil && r.Chart.Source.Local }

// containers returns the paths of all containers of an object's pods, those that run first included.
func containers(o *render.Object) [][]string {
	pod := podSpec(o)
	if pod == nil {
		return nil
	}
	var paths [][]string
	for _, field := range []string{"initContainers", "containers"} {
		for i := range listAt(o.Object, append(slices.Clone(pod), field)...) {
			paths = append(paths, append(slices.Clone(pod), field, strconv.Itoa(i)))
		}
	}
	return paths
}
