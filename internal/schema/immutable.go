package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// frozen is what of a kind must not change. The rules are those of pkg/apis/*/validation
// and pkg/registry in k8s.io/kubernetes; each names its function.
type frozen struct {
	kinds  []string // group/kind, of the core group /kind
	fields []string // pointers to what must not change; all below spec is /spec
	but    []string // pointers below them that may
}

func frozenFields() []frozen {
	return []frozen{
		// apps/validation: ValidateDeploymentUpdate, ValidateDaemonSetUpdate, ValidateReplicaSetUpdate
		{kinds: []string{"apps/Deployment", "apps/DaemonSet", "apps/ReplicaSet"}, fields: []string{"/spec/selector"}},
		// apps/validation: ValidateStatefulSetUpdate
		{kinds: []string{"apps/StatefulSet"}, fields: []string{"/spec"}, but: []string{
			"/spec/replicas", "/spec/ordinals", "/spec/template", "/spec/updateStrategy", "/spec/revisionHistoryLimit",
			"/spec/persistentVolumeClaimRetentionPolicy", "/spec/minReadySeconds",
		}},
		// apps/validation: ValidateControllerRevisionUpdate
		{kinds: []string{"apps/ControllerRevision"}, fields: []string{"/data"}},
		// batch/validation: ValidateJobSpecUpdate; a suspended job's template may change in part
		{kinds: []string{"batch/Job"}, fields: []string{
			"/spec/template", "/spec/selector", "/spec/completionMode", "/spec/podFailurePolicy",
			"/spec/backoffLimitPerIndex", "/spec/managedBy", "/spec/successPolicy",
		}},
		// core/validation: ValidatePersistentVolumeClaimUpdate; sizes are compared apart
		{kinds: []string{"/PersistentVolumeClaim"}, fields: []string{"/spec"}, but: []string{
			"/spec/resources/requests/storage", "/spec/volumeAttributesClassName",
		}},
		// core/validation: ValidatePodUpdate
		{kinds: []string{"/Pod"}, fields: []string{"/spec"}, but: []string{
			"/spec/containers", "/spec/initContainers", "/spec/activeDeadlineSeconds", "/spec/tolerations",
			"/spec/terminationGracePeriodSeconds", "/spec/schedulingGates", "/spec/nodeSelector", "/spec/affinity",
		}},
		// core/validation: ValidateSecretUpdate
		{kinds: []string{"/Secret"}, fields: []string{"/type"}},
		// core/validation: ValidateResourceQuotaUpdate
		{kinds: []string{"/ResourceQuota"}, fields: []string{"/spec/scopes"}},
		// rbac/validation: ValidateRoleBindingUpdate, ValidateClusterRoleBindingUpdate
		{kinds: []string{"rbac.authorization.k8s.io/RoleBinding", "rbac.authorization.k8s.io/ClusterRoleBinding"}, fields: []string{"/roleRef"}},
		// storage/validation: ValidateStorageClassUpdate, ValidateCSIDriverUpdate, ValidateVolumeAttachmentUpdate
		{kinds: []string{"storage.k8s.io/StorageClass"}, fields: []string{"/provisioner", "/parameters", "/reclaimPolicy", "/volumeBindingMode"}},
		{kinds: []string{"storage.k8s.io/CSIDriver"}, fields: []string{"/spec/attachRequired", "/spec/volumeLifecycleModes"}},
		{kinds: []string{"storage.k8s.io/VolumeAttributesClass"}, fields: []string{"/driverName", "/parameters"}},
		{kinds: []string{"storage.k8s.io/VolumeAttachment"}, fields: []string{"/spec"}},
		// networking/validation: ValidateIngressClassUpdate
		{kinds: []string{"networking.k8s.io/IngressClass"}, fields: []string{"/spec/controller"}},
		// scheduling/validation: ValidatePriorityClassUpdate
		{kinds: []string{"scheduling.k8s.io/PriorityClass"}, fields: []string{"/value", "/preemptionPolicy"}},
		// node/validation: ValidateRuntimeClassUpdate
		{kinds: []string{"node.k8s.io/RuntimeClass"}, fields: []string{"/handler"}},
		// discovery/validation: ValidateEndpointSliceUpdate
		{kinds: []string{"discovery.k8s.io/EndpointSlice"}, fields: []string{"/addressType"}},
		// certificates/validation: ValidateCertificateSigningRequestUpdate
		{kinds: []string{"certificates.k8s.io/CertificateSigningRequest"}, fields: []string{"/spec"}},
		// apiextensions/validation: ValidateCustomResourceDefinitionUpdate, of one that is established
		{kinds: []string{"apiextensions.k8s.io/CustomResourceDefinition"}, fields: []string{
			"/spec/group", "/spec/scope", "/spec/names/kind", "/spec/names/plural",
		}},
	}
}

// defaultOf is what the API server puts where a frozen field is not set: leaving it out and
// writing it are the same.
func defaultOf(kind, pointer string) any {
	return map[string]any{
		"apps/StatefulSet /spec/podManagementPolicy": "OrderedReady",
		"batch/Job /spec/completionMode":             "NonIndexed",
		"/PersistentVolumeClaim /spec/volumeMode":    "Filesystem",
		"/Secret /type": "Opaque",
		"storage.k8s.io/StorageClass /reclaimPolicy":                     "Delete",
		"storage.k8s.io/StorageClass /volumeBindingMode":                 "Immediate",
		"storage.k8s.io/CSIDriver /spec/attachRequired":                  true,
		"scheduling.k8s.io/PriorityClass /preemptionPolicy":              "PreemptLowerPriority",
		"rbac.authorization.k8s.io/RoleBinding /roleRef/apiGroup":        "rbac.authorization.k8s.io",
		"rbac.authorization.k8s.io/ClusterRoleBinding /roleRef/apiGroup": "rbac.authorization.k8s.io",
	}[kind+" "+pointer]
}

// chosen are frozen fields that the API server fills in on its own: leaving out what was
// written before, or writing what was left out, changes nothing as long as the server's
// choice is not known.
func chosen(kind, pointer string) bool {
	return slices.Contains([]string{
		"/PersistentVolumeClaim /spec/storageClassName", "/PersistentVolumeClaim /spec/volumeName",
		"batch/Job /spec/selector", "/Pod /spec/nodeName", "/Pod /spec/serviceAccountName",
	}, kind+" "+pointer)
}

// ImmutableChanges returns the changes from one object to another that the API server
// refuses, sorted by path. Both must be of the same kind and name.
func (s *Set) ImmutableChanges(before, after map[string]any) []Problem {
	kind := groupOf(text(after["apiVersion"])) + "/" + text(after["kind"])
	if groupOf(text(before["apiVersion"]))+"/"+text(before["kind"]) != kind {
		return nil
	}
	if d := s.definitions[text(after["kind"])+"."+groupOf(text(after["apiVersion"]))]; d != nil {
		return s.transitions(d, before, after)
	}
	c := &comparison{kind: kind}
	for _, rule := range frozenFields() {
		if !slices.Contains(rule.kinds, kind) {
			continue
		}
		c.but = rule.but
		for _, field := range rule.fields {
			path := strings.Split(strings.TrimPrefix(field, "/"), "/")
			c.compare(path, at(before, path), at(after, path))
		}
	}
	c.special(before, after)
	w := &walk{problems: c.problems}
	return w.sorted()
}

// transitions runs the rules of a definition that compare an object with what it was.
func (s *Set) transitions(d *definition, before, after map[string]any) []Problem {
	v := d.versions[versionOf(text(after["apiVersion"]))]
	if v == nil || v.rules == nil || before["apiVersion"] != after["apiVersion"] {
		return nil
	}
	for _, object := range []map[string]any{before, after} {
		if slices.ContainsFunc(s.Validate(object), func(p Problem) bool { return p.Kind != RuleViolated }) {
			return nil // the API server does not come to the rules
		}
	}
	always := v.rules.check(after, nil)
	problems := slices.DeleteFunc(v.rules.check(after, before), func(p Problem) bool {
		return slices.ContainsFunc(always, func(q Problem) bool { return p.Message == q.Message && slices.Equal(p.Path, q.Path) })
	})
	for i := range problems {
		problems[i].Kind = FieldImmutable
	}
	return problems
}

// comparison compares the frozen fields of two objects of a kind.
type comparison struct {
	kind     string
	but      []string
	problems []Problem
}

func at(object map[string]any, path []string) any {
	var value any = object
	for _, name := range path {
		value = childOf(value, name)
	}
	return value
}

// compare notes the deepest fields that differ. A list is compared as a whole.
func (c *comparison) compare(path []string, before, after any) {
	pointer := "/" + strings.Join(path, "/")
	if slices.Contains(c.but, pointer) {
		return
	}
	was, wasObject := before.(map[string]any)
	is, isObject := after.(map[string]any)
	if (wasObject || before == nil) && (isObject || after == nil) && (wasObject || isObject) && len(path) < maxDepth {
		all := map[string]bool{}
		for name := range was {
			all[name] = true
		}
		for name := range is {
			all[name] = true
		}
		for _, name := range sortedKeys(all) {
			c.compare(append(slices.Clone(path), name), was[name], is[name])
		}
		return
	}
	if standard := defaultOf(c.kind, pointer); standard != nil {
		if before == nil {
			before = standard
		}
		if after == nil {
			after = standard
		}
	}
	if equal(before, after) || (before == nil || after == nil) && chosen(c.kind, pointer) {
		return
	}
	c.add(path, "%s cannot be changed", dotted(path))
}

func (c *comparison) add(path []string, format string, args ...any) {
	_, kind, _ := strings.Cut(c.kind, "/")
	c.problems = append(c.problems, Problem{
		Kind: FieldImmutable, Path: path, Fix: "delete the " + kind + " first, or give the new one another name",
		Message: oneLine(fmt.Sprintf(format, args...)),
	})
}

// special compares what depends on more than one field.
func (c *comparison) special(before, after map[string]any) {
	switch c.kind {
	case "/ConfigMap", "/Secret":
		// core/validation: ValidateConfigMapUpdate, ValidateSecretUpdate
		if !yes(before["immutable"]) {
			return
		}
		for _, field := range []string{"data", "binaryData", "stringData"} {
			if !equal(before[field], after[field]) {
				c.add([]string{field}, "%s cannot be changed: the object is immutable", field)
			}
		}
		if !yes(after["immutable"]) {
			c.add([]string{"immutable"}, "immutable cannot be taken back")
		}
	case "/Service":
		c.service(before, after)
	case "/PersistentVolumeClaim":
		c.shrunk(before, after)
	case "batch/Job":
		// batch/validation: validateCompletions; those of an indexed job may follow its parallelism
		path := []string{"spec", "completions"}
		was, is := at(before, path), at(after, path)
		if !equal(was, is) && text(at(after, []string{"spec", "completionMode"})) != "Indexed" && was != nil && is != nil {
			c.add(path, "spec.completions cannot be changed")
		}
	}
}

// service compares the addresses of a Service (core/validation: ValidateServiceUpdate): the
// first one stays unless the type is or becomes ExternalName.
func (c *comparison) service(before, after map[string]any) {
	kind := []string{"spec", "type"}
	if text(at(before, kind)) == "ExternalName" || text(at(after, kind)) == "ExternalName" {
		return
	}
	for _, path := range [][]string{{"spec", "clusterIP"}, {"spec", "clusterIPs", "0"}, {"spec", "ipFamilies", "0"}} {
		was, is := text(at(before, path)), text(at(after, path))
		// Without an address the server chooses one, and keeps it.
		if was != "" && is != "" && was != is || path[1] == "clusterIP" && (was == "") != (is == "") && (was == "None" || is == "None") {
			c.add(path, "%s cannot be changed", dotted(path))
		}
	}
	class := []string{"spec", "loadBalancerClass"}
	both := text(at(before, kind)) == "LoadBalancer" && text(at(after, kind)) == "LoadBalancer"
	if both && !equal(at(before, class), at(after, class)) {
		c.add(class, "spec.loadBalancerClass cannot be changed while the type is LoadBalancer")
	}
}

// shrunk compares the sizes of a claim (ValidatePersistentVolumeClaimUpdate). That a bound
// claim may grow, if its class allows, is not known here.
func (c *comparison) shrunk(before, after map[string]any) {
	path := []string{"spec", "resources", "requests", "storage"}
	was, err := resource.ParseQuantity(scalar(at(before, path)))
	if err != nil {
		return
	}
	is, err := resource.ParseQuantity(scalar(at(after, path)))
	if err == nil && is.Cmp(was) < 0 {
		c.add(path, "%s cannot become smaller", dotted(path))
	}
}

func scalar(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	return canonical(value)
}

// equal compares values as JSON: the number types of Go do not matter, and neither does
// whether something empty is written.
func equal(a, b any) bool {
	x, err1 := json.Marshal(plain(a))
	y, err2 := json.Marshal(plain(b))
	if err1 != nil || err2 != nil {
		return false
	}
	return string(x) == string(y) || empty(a) && empty(b)
}

func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	}
	return false
}

// dotted is a path as people write it.
func dotted(path []string) string {
	w := &walk{}
	for _, name := range path {
		if i, err := strconv.Atoi(name); err == nil && i >= 0 {
			w.pushIndex(i)
		} else {
			w.push(name)
		}
	}
	return w.here()
}
