package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func dependencyCycle() Rule {
	return Rule{
		ID: "dependency-cycle", Group: Flux, Severity: finding.Error,
		Summary: "Kustomizations or HelmReleases wait for one another.",
		Reason: "None of a cycle can ever begin. A Kustomization that waits for what it applies closes a cycle too when one of its children depends on it. " +
			"kustomize-controller refuses nothing: it waits (https://fluxcd.io/flux/components/kustomize/kustomizations/#dependencies).",
		Bad:  whoamiWith("prune: true\ndependsOn:\n  - name: whoami\n"),
		Good: whoamiWith("prune: true\ndependsOn:\n  - name: metallb-config\n"),
		Site: dependencyCycles,
	}
}

func dependencyCycles(s *Site) []finding.Finding {
	objects := map[string]*render.Object{}
	var order []string
	for _, o := range s.dependents() {
		key := node(o.GetKind(), o.GetNamespace(), o.GetName())
		if objects[key] == nil {
			objects[key] = o
			order = append(order, key)
		}
	}
	slices.Sort(order)
	next := map[string][]string{}
	for _, key := range order {
		o := objects[key]
		for _, d := range dependencies(o) {
			next[key] = append(next[key], node(o.GetKind(), d.namespace, d.name))
		}
		if parent := o.Origin.Kustomization; parent != nil && parent.Object != nil && isTrue(parent.Object.Object, "spec", "wait") {
			from := node("Kustomization", parent.Namespace, parent.Name)
			next[from] = append(next[from], key)
		}
	}
	var found []finding.Finding
	done := map[string]bool{}
	var stack []string
	var walk func(string)
	walk = func(key string) {
		if at := slices.Index(stack, key); at >= 0 {
			cycle := stack[at:]
			first := slices.Min(cycle) // the same cycle is one finding, wherever the search began
			at := slices.Index(cycle, first)
			cycle = slices.Concat(cycle[at:], cycle[:at], []string{first})
			found = append(found, problem(s.At(objects[first], "spec", "dependsOn"), "remove one of these dependencies",
				"these wait for one another: %s", strings.Join(cycle, " -> ")))
			return
		}
		if done[key] || objects[key] == nil {
			return
		}
		stack = append(stack, key)
		for _, to := range next[key] {
			walk(to)
		}
		stack = stack[:len(stack)-1]
		done[key] = true
	}
	for _, key := range order {
		walk(key)
	}
	return found
}
