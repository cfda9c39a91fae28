package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func namespaceMissing() Rule {
	return Rule{
		ID: "namespace-missing", Group: Flux, Severity: finding.Error,
		Summary: "Objects go to a namespace that nothing creates, or that is created after them.",
		Reason: "The API server refuses an object of a namespace that is not there. Neither Flux nor Helm creates one, unless a Namespace stands in Git or install.createNamespace is set " +
			"(https://fluxcd.io/flux/components/helm/helmreleases/#target-namespace).",
		Bad:  inWhoami(strings.Replace(configMapExample, "namespace: whoami", "namespace: who-am-i", 1)),
		Good: inWhoami(configMapExample),
		Site: missingNamespaces,
	}
}

func missingNamespaces(s *Site) []finding.Finding {
	// Kubernetes makes these, and the bootstrap makes flux-system.
	there := map[string]bool{"": true, "default": true, "kube-system": true, "kube-public": true, "kube-node-lease": true, "flux-system": true}
	creators := map[string][]*render.Kustomization{}
	for _, o := range s.kinds("", "Namespace") {
		creators[o.GetName()] = append(creators[o.GetName()], owner(o))
	}
	for _, r := range s.Render.Releases {
		if r.Object != nil && isTrue(r.Object.Object, "spec", "install", "createNamespace") {
			creators[r.TargetNamespace] = append(creators[r.TargetNamespace], r.Object.Origin.Kustomization)
		}
	}
	// A chart seldom makes a namespace; a Kustomization of this repository that cannot be built may.
	lost := slices.ContainsFunc(s.Render.Kustomizations, func(k *render.Kustomization) bool { return !k.Built && k.Source != nil && k.Source.Local })
	var found []finding.Finding
	reported := map[string]bool{}
	need := func(o *render.Object, namespace string, at func() finding.Position) {
		k := owner(o)
		key := namespace
		if k != nil {
			key += " " + reference(k.Namespace, k.Name)
		}
		if there[namespace] || reported[key] || strings.HasPrefix(namespace, "ENC[") {
			return
		}
		makers := creators[namespace]
		if len(makers) == 0 {
			reported[key] = true
			if lost {
				return
			}
			found = append(found, problem(at(), "add a Namespace to the Kustomization, or correct the name", "%s needs namespace %s, which nothing creates", named(o), namespace))
			return
		}
		if k == nil || slices.Contains(makers, nil) {
			return
		}
		earlier := s.before(k)
		if slices.ContainsFunc(makers, func(m *render.Kustomization) bool { return earlier[m] }) {
			return
		}
		reported[key] = true
		f := problem(at(), "let it depend on "+makers[0].Name+", or create the namespace in it",
			"%s needs namespace %s, which Kustomization %s creates at no particular time", named(o), namespace, makers[0].Name)
		f.Severity = finding.Warning // it works once both have been tried often enough
		found = append(found, f)
	}
	for _, r := range s.Render.Releases {
		if r.Object != nil {
			need(r.Object, r.TargetNamespace, func() finding.Position { return s.At(r.Object, "spec", "targetNamespace") })
		}
	}
	for _, o := range s.Render.Objects {
		if o.Origin.Release == nil { // a chart's own is its release's target
			need(o, o.GetNamespace(), func() finding.Position { return s.At(o, "metadata", "namespace") })
		}
	}
	return found
}
