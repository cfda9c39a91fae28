package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// fluxNamespace is where Flux and its root objects live.
const fluxNamespace = "flux-system"

// deletionPatience is how long a deletion may take before it counts as stuck:
// twice Helm's default timeout, within which a release uninstalls.
const deletionPatience = 10 * time.Minute

// condition is a condition as all of Kubernetes writes it
// (metav1.Condition).
type condition struct {
	kind, status, reason, message string
	generation                    int64
	since                         *time.Time
}

func conditionsOf(u *unstructured.Unstructured) []condition {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	var all []condition
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			continue
		}
		c := condition{
			kind: text(m["type"]), status: text(m["status"]),
			reason: oneLine(text(m["reason"])), message: oneLine(text(m["message"])),
			since: moment(m["lastTransitionTime"]),
		}
		c.generation, _ = m["observedGeneration"].(int64)
		all = append(all, c)
	}
	return all
}

func pick(all []condition, kind string) (condition, bool) {
	for _, c := range all {
		if c.kind == kind {
			return c, true
		}
	}
	return condition{}, false
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func moment(v any) *time.Time {
	t, err := time.Parse(time.RFC3339, text(v))
	if err != nil {
		return nil
	}
	t = t.UTC()
	return &t
}

func field(u *unstructured.Unstructured, path ...string) string {
	s, _, _ := unstructured.NestedString(u.Object, path...)
	return s
}

func number(u *unstructured.Unstructured, path ...string) int64 {
	n, _, _ := unstructured.NestedInt64(u.Object, path...)
	return n
}

func refOf(u *unstructured.Unstructured) Ref {
	return Ref{Kind: u.GetKind(), Namespace: u.GetNamespace(), Name: u.GetName()}
}

// assessFlux says how far an object of Flux is. It follows Flux's conditions
// (fluxcd/pkg/apis/meta): Ready sums up, Reconciling and Stalled say whether the
// controller will go on by itself.
func assessFlux(u *unstructured.Unstructured, now time.Time) Object {
	o := Object{Ref: refOf(u), Revision: revisionOf(u), Version: chartVersion(u)}
	o.State, o.Reason, o.Message, o.Since = fluxState(u, now)
	if suspended, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend"); suspended && o.Reason != reasonTerminating {
		last := o
		o.State, o.Reason, o.Message = Suspended, "Suspended", "suspended"
		if last.State == Failed && last.Message != "" {
			o.Message = oneLine("suspended; before that: " + last.Message)
		}
	}
	return o
}

// Reasons that archipel gives where Flux gives none.
const (
	reasonTerminating   = "Terminating"
	reasonNotReconciled = "NotReconciled"
	reasonNotObserved   = "NotObserved"
	reasonNoReady       = "NoReadyCondition"
	reasonNotFound      = "NotFound"
)

func fluxState(u *unstructured.Unstructured, now time.Time) (State, string, string, *time.Time) {
	if deleted := u.GetDeletionTimestamp(); deleted != nil {
		since := deleted.UTC()
		message := "being deleted"
		if f := u.GetFinalizers(); len(f) > 0 {
			message += ", held by " + oneLine(strings.Join(f, ", "))
		}
		if now.Sub(since) > deletionPatience {
			return Failed, reasonTerminating, message, &since
		}
		return Progressing, reasonTerminating, message, &since
	}

	all := conditionsOf(u)
	ready, hasReady := pick(all, "Ready")
	stalled, hasStalled := pick(all, "Stalled")
	reconciling, hasReconciling := pick(all, "Reconciling")
	hasReconciling = hasReconciling && reconciling.status == "True"
	created := u.GetCreationTimestamp().UTC()

	switch {
	case len(all) == 0 && isStatic(u):
		return Ready, "", "", nil
	case len(all) == 0:
		return Progressing, reasonNotReconciled, controllerOf(u.GetKind()) + " has not looked at it yet", &created
	// The status keeps the generation of the last success, a condition the
	// one it speaks of: the later one tells whether the change was seen.
	case max(number(u, "status", "observedGeneration"), ready.generation, stalled.generation) < u.GetGeneration():
		if hasReconciling && reconciling.generation >= u.GetGeneration() {
			return Progressing, reconciling.reason, reconciling.message, reconciling.since
		}
		return Progressing, reasonNotObserved, controllerOf(u.GetKind()) + " has not looked at the latest change yet", changedAt(u)
	case hasStalled && stalled.status == "True":
		message := stalled.message
		if why := explained(u.GetKind(), ready, all); ready.status == "False" && !strings.Contains(message, why.message) {
			message = oneLine(message + ": " + why.message)
		}
		return Failed, stalled.reason, message, stalled.since
	case !hasReady && hasReconciling:
		return Progressing, reconciling.reason, reconciling.message, reconciling.since
	case !hasReady:
		return Unknown, reasonNoReady, "no Ready condition, but " + listConditions(all), all[0].since
	}

	switch ready.status {
	case "True":
		return Ready, ready.reason, ready.message, ready.since
	case "False":
		ready = explained(u.GetKind(), ready, all)
		if isWaiting(ready) {
			return Progressing, ready.reason, ready.message, ready.since
		}
		return Failed, ready.reason, ready.message, ready.since
	case "Unknown":
		// Ready then says "Reconciliation in progress" only.
		if hasReconciling && reconciling.message != "" {
			return Progressing, ready.reason, reconciling.message, ready.since
		}
		return Progressing, ready.reason, ready.message, ready.since
	}
	return Unknown, ready.reason, oneLine(fmt.Sprintf("Ready is %q: %s", ready.status, ready.message)), ready.since
}

// changedAt is when somebody last changed an object other than its status; nil
// when its managed fields do not tell.
func changedAt(u *unstructured.Unstructured) *time.Time {
	var latest *time.Time
	for _, entry := range u.GetManagedFields() {
		if entry.Subresource != "" || entry.Time == nil {
			continue
		}
		if at := entry.Time.UTC(); latest == nil || at.After(*latest) {
			latest = &at
		}
	}
	return latest
}

// isStatic tells a HelmRepository of an OCI registry, of which
// source-controller keeps no status.
func isStatic(u *unstructured.Unstructured) bool {
	return u.GetKind() == "HelmRepository" && field(u, "spec", "type") == "oci"
}

// isWaiting tells a Ready=False that only says that another object or the next
// attempt is awaited. The reasons are those of kustomize-controller,
// helm-controller and source-controller.
func isWaiting(ready condition) bool {
	switch ready.reason {
	case "DependencyNotReady", "SourceNotReady", "HealthCheckCanceled", "Progressing", "NoSourceArtifact":
		return true
	case "ArtifactFailed":
		return strings.Contains(ready.message, "artifact not found")
	}
	return false
}

// explained is a Ready=False condition with the reason and message of what
// failed. helm-controller lets Ready speak of the remedy, such as a rollback
// that succeeded, and keeps the failure in Released or TestSuccess.
func explained(kind string, ready condition, all []condition) condition {
	remediated, ok := pick(all, "Remediated")
	if kind != "HelmRelease" || !ok || ready.reason != remediated.reason {
		return ready
	}
	for _, name := range []string{"Released", "TestSuccess"} {
		failure, ok := pick(all, name)
		if !ok || failure.status != "False" {
			continue
		}
		ready.reason = failure.reason
		switch remediated.reason {
		case "RollbackSucceeded":
			ready.message = oneLine(failure.message + "; rolled back")
		case "UninstallSucceeded":
			ready.message = oneLine(failure.message + "; uninstalled again")
		default:
			ready.message = oneLine(failure.message + "; then: " + remediated.message)
		}
		return ready
	}
	return ready
}

func listConditions(all []condition) string {
	var parts []string
	for _, c := range all {
		part := c.kind + "=" + c.status
		if c.message != "" {
			part += " (" + c.message + ")"
		}
		parts = append(parts, part)
	}
	return oneLine(strings.Join(parts, ", "))
}

// controllerOf names the Flux controller that owns a kind.
func controllerOf(kind string) string {
	switch kind {
	case "Kustomization":
		return "kustomize-controller"
	case "HelmRelease":
		return "helm-controller"
	}
	return "source-controller"
}

func revisionOf(u *unstructured.Unstructured) string {
	switch u.GetKind() {
	case "Kustomization":
		return oneLine(field(u, "status", "lastAppliedRevision"))
	case "HelmRelease":
		return ""
	}
	return oneLine(field(u, "status", "artifact", "revision"))
}

// chartVersion is the version of the chart that a HelmRelease has installed;
// the first entry of its history is the latest.
func chartVersion(u *unstructured.Unstructured) string {
	if u.GetKind() != "HelmRelease" {
		return ""
	}
	history, _, _ := unstructured.NestedSlice(u.Object, "status", "history")
	for _, item := range history {
		if m, ok := item.(map[string]any); ok && (text(m["status"]) == "deployed" || len(history) == 1) {
			return oneLine(text(m["chartVersion"]))
		}
	}
	return ""
}

// kubeletPatience is how long a node may take to become ready after its kubelet
// said that it is not: the time after which Kubernetes evicts its pods
// (the default tolerationSeconds of node.kubernetes.io/not-ready).
const kubeletPatience = 5 * time.Minute

// assessNode says how a node is. k3s labels its servers as control plane.
func assessNode(u *unstructured.Unstructured, now time.Time) Node {
	n := Node{Name: u.GetName(), Role: "agent", Version: oneLine(field(u, "status", "nodeInfo", "kubeletVersion"))}
	labels := u.GetLabels()
	for _, label := range []string{"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"} {
		if _, ok := labels[label]; ok {
			n.Role = "server"
		}
	}
	ready, ok := pick(conditionsOf(u), "Ready")
	switch {
	case !ok:
		created := u.GetCreationTimestamp().UTC()
		n.State, n.Reason, n.Message, n.Since = Progressing, "NoStatus", "its kubelet has not reported yet", &created
	case ready.status == "True":
		n.State, n.Since = Ready, ready.since
	default:
		n.State, n.Reason, n.Message, n.Since = Failed, ready.reason, ready.message, ready.since
		if ready.status == "False" && ready.since != nil && now.Sub(*ready.since) < kubeletPatience {
			n.State = Progressing
		}
	}
	if cordoned, _, _ := unstructured.NestedBool(u.Object, "spec", "unschedulable"); cordoned && n.State == Ready {
		n.Reason, n.Message = "Cordoned", "takes no new pods"
	}
	return n
}

// assessWorkload says how far a Deployment, DaemonSet or StatefulSet is.
func assessWorkload(u *unstructured.Unstructured) Object {
	o := Object{Ref: refOf(u), State: Ready}
	count := Replicas{}
	var updated int64
	switch o.Kind {
	case "DaemonSet":
		count = Replicas{number(u, "status", "numberReady"), number(u, "status", "desiredNumberScheduled")}
		updated = number(u, "status", "updatedNumberScheduled")
	default:
		desired, given, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
		if !given {
			desired = 1 // the default of apps/v1
		}
		count = Replicas{number(u, "status", "readyReplicas"), desired}
		updated = number(u, "status", "updatedReplicas")
	}
	o.Replicas = &count
	all := conditionsOf(u)
	seen := number(u, "status", "observedGeneration") >= u.GetGeneration()
	switch {
	case !seen:
		o.State, o.Reason, o.Message = Progressing, reasonNotObserved, "the latest change has not been seen by its controller yet"
	case count.Ready < count.Desired:
		o.State, o.Reason, o.Message = Progressing, "PodsNotReady", fmt.Sprintf("%d of %d pods are ready", count.Ready, count.Desired)
	case updated < count.Desired && !(o.Kind != "Deployment" && field(u, "spec", "updateStrategy", "type") == "OnDelete"):
		o.State, o.Reason, o.Message = Progressing, "PodsNotUpdated", fmt.Sprintf("%d of %d pods are of the latest version", updated, count.Desired)
	}
	if o.State == Ready {
		return o
	}
	if c, ok := pick(all, "Available"); ok && c.status == "False" {
		o.Since = c.since
	}
	for _, bad := range []condition{{kind: "ReplicaFailure", status: "True"}, {kind: "Progressing", status: "False"}} {
		if c, ok := pick(all, bad.kind); ok && c.status == bad.status {
			o.State, o.Reason, o.Since = Failed, c.reason, c.since
			o.Message = oneLine(o.Message + ": " + c.message)
			break
		}
	}
	return o
}

// isFluxManaged tells objects that a Kustomization or a HelmRelease applied, by
// the labels that these controllers set.
func isFluxManaged(u *unstructured.Unstructured) bool {
	labels := u.GetLabels()
	return labels[helmName] != "" || labels[kustomizeName] != ""
}

const (
	helmName           = "helm.toolkit.fluxcd.io/name"
	helmNamespace      = "helm.toolkit.fluxcd.io/namespace"
	kustomizeName      = "kustomize.toolkit.fluxcd.io/name"
	kustomizeNamespace = "kustomize.toolkit.fluxcd.io/namespace"
)

func compareRefs(a, b Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func sortObjects(list []Object) {
	slices.SortFunc(list, func(a, b Object) int { return compareRefs(a.Ref, b.Ref) })
}
