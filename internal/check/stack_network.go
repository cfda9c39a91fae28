package check

import (
	"maps"
	"strings"

	"archipel/internal/render"
)

const networkingAPI, ciliumAPI = "networking.k8s.io", "cilium.io"

// isolated says whether a network policy of the site selects the pods of an object, so that
// nobody reaches them but whom a policy names.
func (s *Site) isolated(o *render.Object) bool {
	labels, namespace := podLabels(o), o.GetNamespace()
	for _, p := range s.kinds(networkingAPI, "NetworkPolicy") {
		if p.GetNamespace() == namespace && ofIngress(p) && selectorMatches(orEmpty(valueAt(p.Object, "spec", "podSelector")), labels) {
			return true
		}
	}
	for _, p := range s.kinds(ciliumAPI, "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy") {
		if p.GetKind() == "CiliumNetworkPolicy" && p.GetNamespace() != namespace {
			continue
		}
		specs := listAt(p.Object, "specs")
		if spec := mapAt(p.Object, "spec"); spec != nil {
			specs = append(specs, spec)
		}
		for _, spec := range specs {
			// Cilium isolates what a policy with rules for a direction selects, unless it says not to.
			rules := len(listAt(spec, "ingress")) + len(listAt(spec, "ingressDeny"))
			selector := valueAt(spec, "endpointSelector")
			if rules > 0 && selector != nil && valueAt(spec, "enableDefaultDeny", "ingress") != false && selectorMatches(withoutSources(selector), s.ciliumLabels(o)) {
				return true
			}
		}
	}
	return false
}

// ofIngress says whether a NetworkPolicy is about who reaches its pods; without policyTypes it is.
func ofIngress(p *render.Object) bool {
	types := textsAt(p.Object, "spec", "policyTypes")
	for _, t := range types {
		if t == "Ingress" {
			return true
		}
	}
	return len(types) == 0
}

func orEmpty(selector any) any {
	if selector == nil {
		return map[string]any{}
	}
	return selector
}

// ciliumLabels are the labels by which Cilium's policies select the pods of an object: their
// own, and those that it makes of the namespace.
func (s *Site) ciliumLabels(o *render.Object) map[string]string {
	labels := map[string]string{"io.kubernetes.pod.namespace": o.GetNamespace()}
	for _, n := range s.kinds("", "Namespace") {
		if n.GetName() == o.GetNamespace() {
			for key, value := range n.GetLabels() {
				labels["io.cilium.k8s.namespace.labels."+key] = value
			}
		}
	}
	labels["io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name"] = o.GetNamespace()
	maps.Copy(labels, podLabels(o))
	return labels
}

// withoutSources takes from the keys of a selector of Cilium the source of the label: k8s: or any:.
func withoutSources(selector any) any {
	strip := func(key string) string { return strings.TrimPrefix(strings.TrimPrefix(key, "k8s:"), "any:") }
	plain := map[string]any{}
	if labels := mapAt(selector, "matchLabels"); labels != nil {
		stripped := map[string]any{}
		for key, value := range labels {
			stripped[strip(key)] = value
		}
		plain["matchLabels"] = stripped
	}
	var expressions []any
	for _, e := range listAt(selector, "matchExpressions") {
		expression := maps.Clone(mapAt(e))
		if expression != nil {
			expression["key"] = strip(textAt(e, "key"))
			expressions = append(expressions, expression)
		}
	}
	if expressions != nil {
		plain["matchExpressions"] = expressions
	}
	return plain
}
