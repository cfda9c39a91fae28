package diff

import (
	"maps"
	"slices"
	"strings"

	"archipel/internal/render"
)

// maxKeyFields bounds what is shown of an object that is created or deleted.
const maxKeyFields = 12

// keyPaths are the fields that tell most about an object, by its kind.
func keyPaths(kind string) []string {
	switch kind {
	case "Deployment", "StatefulSet", "ReplicaSet":
		return []string{"spec.replicas", "spec.template.spec.containers[].image"}
	case "DaemonSet":
		return []string{"spec.template.spec.containers[].image"}
	case "Job":
		return []string{"spec.template.spec.containers[].image"}
	case "CronJob":
		return []string{"spec.schedule", "spec.jobTemplate.spec.template.spec.containers[].image"}
	case "Pod":
		return []string{"spec.containers[].image"}
	case "Service":
		return []string{"spec.type", "spec.ports[].port", "spec.loadBalancerIP"}
	case "Ingress", "HTTPRoute":
		return []string{"spec.ingressClassName", "spec.rules[].host", "spec.hostnames"}
	case "HelmRelease":
		return []string{"spec.chart.spec.chart", "spec.chart.spec.version", "spec.chartRef.name", "spec.targetNamespace"}
	case "Kustomization":
		return []string{"spec.path", "spec.prune", "spec.targetNamespace"}
	case "GitRepository", "OCIRepository", "HelmRepository", "Bucket":
		return []string{"spec.url", "spec.ref.branch", "spec.ref.tag", "spec.ref.semver"}
	case "PersistentVolumeClaim":
		return []string{"spec.resources.requests.storage", "spec.storageClassName", "spec.accessModes"}
	case "CustomResourceDefinition":
		return []string{"spec.group", "spec.scope", "spec.versions[].name"}
	case "ClusterRoleBinding", "RoleBinding":
		return []string{"roleRef.kind", "roleRef.name", "subjects[].name"}
	case "IPAddressPool":
		return []string{"spec.addresses", "spec.autoAssign"}
	}
	return nil
}

// keyFields returns the fields that tell most about an object: those of its
// kind, of data only the keys, of what is not known the scalars of spec.
func (c *comparer) keyFields(o *render.Object, kind FieldKind) []Field {
	d := fieldDiffer{mask: c.mask(o), noise: map[string]bool{}}
	report := func(path steps, v any) {
		if len(d.fields) < maxKeyFields {
			d.whole(path, kind, v)
		}
	}
	if o.GetKind() == "Secret" || o.GetKind() == "ConfigMap" {
		for _, section := range []string{"data", "stringData", "binaryData"} {
			values, _ := o.Object[section].(map[string]any)
			for _, key := range slices.Sorted(maps.Keys(values)) {
				if len(d.fields) < maxKeyFields {
					d.fields = append(d.fields, Field{Path: steps{{key: section}, {key: key}}.String(), Kind: kind, Masked: o.GetKind() == "Secret"})
				}
			}
		}
		return d.fields
	}
	for _, path := range keyPaths(o.GetKind()) {
		pick(o.Object, strings.Split(path, "."), nil, report)
	}
	if spec, ok := o.Object["spec"].(map[string]any); ok && len(d.fields) == 0 {
		for _, key := range slices.Sorted(maps.Keys(spec)) {
			switch spec[key].(type) {
			case map[string]any, []any:
			default:
				report(steps{{key: "spec"}, {key: key}}, spec[key])
			}
		}
	}
	return d.fields
}

// pick reports the values at a path, in which [] stands for all entries of a list.
func pick(v any, path []string, at steps, report func(steps, any)) {
	if len(path) == 0 {
		report(at, v)
		return
	}
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	key, all := strings.CutSuffix(path[0], "[]")
	child, ok := m[key]
	if !ok {
		return
	}
	at = at.with(step{key: key})
	list, isList := child.([]any)
	if !all || !isList {
		pick(child, path[1:], at, report)
		return
	}
	entries, _ := byKey(list, []string{"name"})
	for i, entry := range list {
		name := ""
		if i < len(entries) {
			name = entries[i].key
		}
		pick(entry, path[1:], at.with(step{key: name, entry: true}), report)
	}
}
