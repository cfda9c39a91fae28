package render

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// servedKinds are the kinds that every API server of a supported minor serves by
// default, by API version. A * marks those that live in no namespace.
func servedKinds() map[string]string {
	return map[string]string{
		"v1": "Binding ConfigMap Endpoints Event LimitRange *Namespace *Node *PersistentVolume PersistentVolumeClaim Pod PodTemplate " +
			"ReplicationController ResourceQuota Secret Service ServiceAccount *ComponentStatus",
		"admissionregistration.k8s.io/v1": "*MutatingWebhookConfiguration *ValidatingWebhookConfiguration *ValidatingAdmissionPolicy *ValidatingAdmissionPolicyBinding",
		"apiextensions.k8s.io/v1":         "*CustomResourceDefinition",
		"apiregistration.k8s.io/v1":       "*APIService",
		"apps/v1":                         "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
		"authentication.k8s.io/v1":        "*TokenReview *SelfSubjectReview",
		"authorization.k8s.io/v1":         "LocalSubjectAccessReview *SelfSubjectAccessReview *SelfSubjectRulesReview *SubjectAccessReview",
		"autoscaling/v1":                  "HorizontalPodAutoscaler",
		"autoscaling/v2":                  "HorizontalPodAutoscaler",
		"batch/v1":                        "CronJob Job",
		"certificates.k8s.io/v1":          "*CertificateSigningRequest",
		"coordination.k8s.io/v1":          "Lease",
		"discovery.k8s.io/v1":             "EndpointSlice",
		"events.k8s.io/v1":                "Event",
		"flowcontrol.apiserver.k8s.io/v1": "*FlowSchema *PriorityLevelConfiguration",
		"networking.k8s.io/v1":            "Ingress *IngressClass NetworkPolicy *IPAddress *ServiceCIDR",
		"node.k8s.io/v1":                  "*RuntimeClass",
		"policy/v1":                       "PodDisruptionBudget",
		"rbac.authorization.k8s.io/v1":    "*ClusterRole *ClusterRoleBinding Role RoleBinding",
		"resource.k8s.io/v1":              "*DeviceClass ResourceClaim ResourceClaimTemplate *ResourceSlice",
		"scheduling.k8s.io/v1":            "*PriorityClass",
		"storage.k8s.io/v1":               "*CSIDriver *CSINode CSIStorageCapacity *StorageClass *VolumeAttachment *VolumeAttributesClass",
	}
}

// definition is what a CustomResourceDefinition says that matters here.
type definition struct {
	group, kind string
	versions    []string
	cluster     bool
}

func definitionOf(object *unstructured.Unstructured) (definition, bool) {
	group, _, _ := unstructured.NestedString(object.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(object.Object, "spec", "names", "kind")
	scope, _, _ := unstructured.NestedString(object.Object, "spec", "scope")
	d := definition{group: group, kind: kind, cluster: scope == "Cluster"}
	versions, _, _ := unstructured.NestedFieldNoCopy(object.Object, "spec", "versions")
	list, _ := versions.([]any)
	for _, v := range list {
		version, _ := v.(map[string]any)
		name, _ := version["name"].(string)
		if served, _ := version["served"].(bool); served {
			d.versions = append(d.versions, name)
		}
	}
	return d, group != "" && kind != ""
}

// apiVersions are the capabilities that Helm would find at the site: "apps/v1" and
// "apps/v1/Deployment", those of the site's definitions included.
func (w *walk) apiVersions() []string {
	var all []string
	for version, kinds := range servedKinds() {
		all = append(all, version)
		for _, kind := range strings.Fields(kinds) {
			all = append(all, version+"/"+strings.TrimPrefix(kind, "*"))
		}
	}
	for _, d := range w.definitions {
		for _, version := range d.versions {
			all = append(all, d.group+"/"+version, d.group+"/"+version+"/"+d.kind)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// clusterScoped says whether a kind lives in no namespace, and whether that is known.
func (w *walk) clusterScoped(group, kind string) (cluster, known bool) {
	if d, ok := w.definitions[ID{Group: group, Kind: kind}]; ok {
		return d.cluster, true
	}
	for version, kinds := range servedKinds() {
		of, _, found := strings.Cut(version, "/")
		if !found {
			of = ""
		}
		if of != group {
			continue
		}
		for _, k := range strings.Fields(kinds) {
			if strings.TrimPrefix(k, "*") == kind {
				return strings.HasPrefix(k, "*"), true
			}
		}
	}
	return false, false
}
