package schema

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	names "k8s.io/apimachinery/pkg/util/validation"
)

// What follows is what an API server enforces beyond its OpenAPI documents, or short of
// them, where it is cheap to know: pkg/apis/*/validation of k8s.io/kubernetes.

// check looks at a value that has the right type, unless it stands beside a reference.
type check func(w *walk, value any)

// optional are the fields that the documents require, but whose zero value is accepted.
func optional(name string) []string {
	switch name {
	case "api.apps.v1.ControllerRevision":
		return []string{"revision"}
	case "api.core.v1.ISCSIVolumeSource", "api.core.v1.ISCSIPersistentVolumeSource":
		return []string{"lun"}
	case "api.core.v1.HTTPHeader", "api.core.v1.Sysctl":
		return []string{"value"}
	case "api.rbac.v1.RoleRef":
		return []string{"apiGroup"}
	case "api.scheduling.v1.PriorityClass":
		return []string{"value"}
	case "api.core.v1.SleepAction":
		return []string{"seconds"}
	case "api.core.v1.LimitRangeSpec":
		return []string{"limits"}
	case "api.batch.v1.PodFailurePolicy":
		return []string{"rules"}
	case "api.storage.v1.CSINodeSpec":
		return []string{"drivers"}
	case "api.storage.v1.CSIDriver", "api.resource.v1.DeviceClass":
		return []string{"spec"}
	case "api.storage.v1.TokenRequest":
		return []string{"audience"}
	case "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion":
		return []string{"served", "storage"}
	}
	return nil
}

// typeCheck is what a type must hold as a whole.
func typeCheck(name string) check {
	switch name {
	case objectMeta:
		return checkMetadata
	case "apimachinery.pkg.apis.meta.v1.LabelSelector":
		return checkSelector
	case "apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement":
		return checkRequirement("In", "NotIn", "Exists", "DoesNotExist")
	case "api.core.v1.NodeSelectorRequirement":
		return checkRequirement("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
	}
	return nil
}

// fieldChecks is what fields of a type must hold.
func fieldChecks(name string) map[string]check {
	short, found := strings.CutPrefix(name, "api.")
	if !found {
		return nil
	}
	_, short, _ = strings.Cut(short, ".") // the group
	switch short {
	case "v1.ContainerPort":
		return map[string]check{"containerPort": checkNeededPort, "hostPort": checkPort, "name": checkText(names.IsValidPortName)}
	case "v1.ServicePort":
		return map[string]check{"port": checkNeededPort, "nodePort": checkPort, "targetPort": checkPortOrName, "name": checkText(names.IsDNS1123Label)}
	case "v1.HTTPGetAction", "v1.TCPSocketAction", "v1.NetworkPolicyPort":
		return map[string]check{"port": checkPortOrName, "endPort": checkPort}
	case "v1.GRPCAction":
		return map[string]check{"port": checkNeededPort}
	case "v1.ServiceBackendPort":
		return map[string]check{"number": checkPort}
	case "v1.Container", "v1.EphemeralContainer", "v1.Volume":
		return map[string]check{"name": checkText(names.IsDNS1123Label)}
	case "v1.EnvVar":
		return map[string]check{"name": checkText(names.IsRelaxedEnvVarName)}
	case "v1.PodSpec":
		return map[string]check{"nodeSelector": checkLabels, "containers": checkFilled, "terminationGracePeriodSeconds": checkCount}
	case "v1.ServiceSpec":
		return map[string]check{"selector": checkLabels}
	case "v1.ConfigMap", "v1.Secret":
		return map[string]check{"data": checkKeys, "binaryData": checkKeys, "stringData": checkKeys}
	case "v1.DeploymentSpec", "v1.StatefulSetSpec", "v1.ReplicaSetSpec", "v1.DaemonSetSpec", "v1.ReplicationControllerSpec":
		return map[string]check{"replicas": checkCount, "minReadySeconds": checkCount, "revisionHistoryLimit": checkCount}
	case "v1.JobSpec":
		return map[string]check{
			"parallelism": checkCount, "completions": checkCount, "backoffLimit": checkCount,
			"activeDeadlineSeconds": checkCount, "ttlSecondsAfterFinished": checkCount,
		}
	case "v1.CronJobSpec":
		return map[string]check{
			"startingDeadlineSeconds": checkCount, "successfulJobsHistoryLimit": checkCount, "failedJobsHistoryLimit": checkCount,
		}
	case "v1.PolicyRule":
		return map[string]check{"verbs": checkFilled}
	}
	return nil
}

// checkText holds a text to one of the rules of apimachinery.
func checkText(rule func(string) []string) check {
	return func(w *walk, value any) {
		if s, ok := value.(string); ok && s != "" {
			if faults := rule(s); len(faults) > 0 {
				w.add(InvalidValue, "", "%s%s must obey a rule: %s", w.here(), w.shown(s), faults[0])
			}
		}
	}
}

// checkPort accepts 0, which is the same as no port.
func checkPort(w *walk, value any) {
	if number, _, ok := numberOf(value); ok && number != 0 {
		checkNeededPort(w, value)
	}
}

func checkNeededPort(w *walk, value any) {
	if number, whole, ok := numberOf(value); ok && whole && len(names.IsValidPortNum(int(number))) > 0 {
		w.add(InvalidValue, "", "%s%s must be a port from 1 to 65535", w.here(), w.shown(value))
	}
}

func checkPortOrName(w *walk, value any) {
	if s, ok := value.(string); ok {
		checkText(names.IsValidPortName)(w, s)
		return
	}
	checkPort(w, value)
}

func checkCount(w *walk, value any) {
	if number, _, ok := numberOf(value); ok && number < 0 {
		w.add(InvalidValue, "", "%s%s must not be negative", w.here(), w.shown(value))
	}
}

func checkFilled(w *walk, value any) {
	if list, ok := value.([]any); ok && len(list) == 0 {
		w.add(MissingRequired, "", "%s is empty, must not be", w.here())
	}
}

// checkKeys holds the keys of a ConfigMap or Secret to their form.
func checkKeys(w *walk, value any) {
	object, _ := value.(map[string]any)
	for _, key := range sortedKeys(object) {
		if faults := names.IsConfigMapKey(key); len(faults) > 0 {
			w.push(key)
			w.add(InvalidValue, "", "%s is no valid key: %s", w.here(), faults[0])
			w.pop()
		}
	}
}

// checkMetadata looks at labels and annotations, wherever metadata stands.
func checkMetadata(w *walk, value any) {
	metadata, _ := value.(map[string]any)
	w.push("labels")
	checkLabels(w, metadata["labels"])
	w.pop()
	w.push("annotations")
	annotations, _ := metadata["annotations"].(map[string]any)
	size := 0
	for _, key := range sortedKeys(annotations) {
		size += len(key) + len(text(annotations[key]))
		if faults := names.IsQualifiedName(strings.ToLower(key)); len(faults) > 0 {
			w.push(key)
			w.add(InvalidValue, "", "%s is no valid name: %s", w.here(), faults[0])
			w.pop()
		}
	}
	if size > validation.TotalAnnotationSizeLimitB {
		w.add(InvalidValue, "", "%s take %d bytes, may take %d", w.here(), size, validation.TotalAnnotationSizeLimitB)
	}
	w.pop()
}

func checkLabels(w *walk, value any) {
	labels, _ := value.(map[string]any)
	for _, key := range sortedKeys(labels) {
		w.push(key)
		if faults := names.IsQualifiedName(key); len(faults) > 0 {
			w.add(InvalidValue, "", "%s is no valid name: %s", w.here(), faults[0])
		}
		if faults := names.IsValidLabelValue(text(labels[key])); len(faults) > 0 && !strings.HasPrefix(text(labels[key]), "ENC[") {
			w.add(InvalidValue, "", "%s%s must be the value of a label: %s", w.here(), w.shown(text(labels[key])), faults[0])
		}
		w.pop()
	}
}

func checkSelector(w *walk, value any) {
	selector, _ := value.(map[string]any)
	w.push("matchLabels")
	checkLabels(w, selector["matchLabels"])
	w.pop()
}

// checkRequirement holds an expression of a selector to its operator.
func checkRequirement(operators ...string) check {
	return func(w *walk, value any) {
		requirement, _ := value.(map[string]any)
		operator := text(requirement["operator"])
		values, _ := requirement["values"].([]any)
		switch operator {
		case "In", "NotIn":
			if len(values) == 0 {
				w.add(MissingRequired, "", "%s lacks values, which operator %s needs", w.here(), operator)
			}
		case "Exists", "DoesNotExist":
			if len(values) > 0 {
				w.add(InvalidValue, "remove values", "%s has values, which operator %s does not take", w.here(), operator)
			}
		case "Gt", "Lt", "":
		default:
			w.push("operator")
			w.add(InvalidValue, "", "%s%s must be one of %s", w.here(), w.shown(operator), strings.Join(operators, ", "))
			w.pop()
		}
	}
}

// identity holds the name and the namespace of an object to the rules of its kind.
func (w *walk) identity(object map[string]any, apiVersion, kind string, scope Scope) {
	metadata, _ := object["metadata"].(map[string]any)
	name, hasName := metadata["name"].(string)
	w.push("metadata")
	defer w.pop()
	switch {
	case hasName && name != "":
		if strings.HasPrefix(name, "ENC[") {
			break
		}
		if fault := nameFault(apiVersion, kind, name, w.definition, object); fault != "" {
			w.push("name")
			w.add(InvalidValue, "", "%s%s must obey a rule: %s", w.here(), w.shown(name), fault)
			w.pop()
		}
	case text(metadata["generateName"]) == "":
		if metadata["name"] == nil || hasName {
			w.add(MissingRequired, "", "%s lacks the required field name", w.here())
		}
	}
	if namespace := text(metadata["namespace"]); namespace != "" && scope == Namespaced {
		if faults := names.IsDNS1123Label(namespace); len(faults) > 0 {
			w.push("namespace")
			w.add(InvalidValue, "", "%s%s must obey a rule: %s", w.here(), w.shown(namespace), faults[0])
			w.pop()
		}
	}
}

// nameFault says why a kind cannot have a name, "" when it can. Most kinds want the name of
// a DNS domain.
func nameFault(apiVersion, kind, name string, definition bool, object map[string]any) string {
	rule := validation.NameIsDNSSubdomain
	if !definition {
		switch kind {
		case "Namespace":
			rule = validation.NameIsDNSLabel
		case "Service":
			// Up to 1.35 it must begin with a letter, from 1.36 on it may begin with a digit
			// (RelaxedServiceNameValidation).
			rule = validation.NameIsDNSLabel
		case "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ClusterTrustBundle", "IPAddress":
			rule = validation.ValidateNameFunc(func(name string, prefix bool) []string { return pathSegment(name) })
		case "APIService", "CustomResourceDefinition":
			return composedName(kind, name, object)
		}
	}
	if apiVersion == "resource.k8s.io/v1" && kind == "ResourceSlice" {
		rule = validation.NameIsDNSSubdomain
	}
	if faults := rule(name, false); len(faults) > 0 {
		return faults[0]
	}
	return ""
}

func pathSegment(name string) []string {
	if name == "." || name == ".." || strings.ContainsAny(name, "/%") {
		return []string{"must not be . or .. and must not have / or %"}
	}
	return nil
}

// composedName is the name of a kind whose name follows from its fields.
func composedName(kind, name string, object map[string]any) string {
	spec, _ := object["spec"].(map[string]any)
	want := text(spec["version"]) + "." + text(spec["group"])
	if kind == "CustomResourceDefinition" {
		parts, _ := spec["names"].(map[string]any)
		want = text(parts["plural"]) + "." + text(spec["group"])
	}
	if strings.HasPrefix(want, ".") || strings.HasSuffix(want, ".") && kind != "APIService" || name == want {
		return ""
	}
	return fmt.Sprintf("must be %s", want)
}

// wellFormed checks what spans several fields of a kind.
func (w *walk) wellFormed(object map[string]any, apiVersion, kind string) {
	if apiVersion != "apps/v1" || w.problems != nil {
		return
	}
	spec, _ := object["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	metadata, _ := template["metadata"].(map[string]any)
	labels, _ := metadata["labels"].(map[string]any)
	selector, _ := spec["selector"].(map[string]any)
	wanted, _ := selector["matchLabels"].(map[string]any)
	expressions, _ := selector["matchExpressions"].([]any)
	w.push("spec")
	defer w.pop()
	if selector != nil && len(wanted) == 0 && len(expressions) == 0 {
		w.push("selector")
		w.add(InvalidValue, "", "%s of a %s must not be empty", w.here(), kind)
		w.pop()
	}
	for _, key := range sortedKeys(wanted) {
		if labels[key] != wanted[key] {
			w.push("selector")
			w.push("matchLabels")
			w.push(key)
			w.add(InvalidValue, "", "%s is not among the labels of the template: the %s would not own its pods", w.here(), kind)
			w.pop()
			w.pop()
			w.pop()
		}
	}
}
