package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// List returns the objects of a kind in a namespace, or in all of them when it
// is "", that a label selector selects; "" selects all. The error is a NotFound
// status or a *NoKindError when the API server does not serve the kind, and a
// Forbidden status when the credentials may not list it.
func (c *Cluster) List(ctx context.Context, kind schema.GroupVersionKind, namespace, labels string) ([]unstructured.Unstructured, error) {
	r, err := c.resolve(ctx, kind)
	if err != nil {
		return nil, err
	}
	list, err := c.at(r, namespace).List(ctx, metav1.ListOptions{LabelSelector: labels})
	if err != nil {
		return nil, c.explain("listing "+r.plural, err)
	}
	return list.Items, nil
}

// Get returns one object. The error is a NotFound status when there is none.
func (c *Cluster) Get(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (*unstructured.Unstructured, error) {
	r, err := c.resolve(ctx, kind)
	if err != nil {
		return nil, err
	}
	obj, err := c.at(r, namespace).Get(ctx, name, metav1.GetOptions{})
	return obj, c.explain(fmt.Sprintf("reading %s %s", kind.Kind, path(namespace, name)), err)
}

// Delete deletes one object and does not wait until it is gone. Deleting what
// is not there is no error.
func (c *Cluster) Delete(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) error {
	r, err := c.resolve(ctx, kind)
	if err != nil {
		return err
	}
	err = c.at(r, namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return c.explain(fmt.Sprintf("deleting %s %s", kind.Kind, path(namespace, name)), err)
}

// Annotate sets annotations of one object and leaves the others alone.
func (c *Cluster) Annotate(ctx context.Context, kind schema.GroupVersionKind, namespace, name string, annotations map[string]string) error {
	return c.merge(ctx, "annotating", kind, namespace, name, map[string]any{"metadata": map[string]any{"annotations": annotations}})
}

// Merge changes one object by a JSON merge patch (RFC 7386): a null removes a
// field. The error is a Conflict status when the patch names another
// metadata.resourceVersion than the object has.
func (c *Cluster) Merge(ctx context.Context, kind schema.GroupVersionKind, namespace, name string, patch map[string]any) error {
	return c.merge(ctx, "changing", kind, namespace, name, patch)
}

func (c *Cluster) merge(ctx context.Context, doing string, kind schema.GroupVersionKind, namespace, name string, patch map[string]any) error {
	doing = fmt.Sprintf("%s %s %s", doing, kind.Kind, path(namespace, name))
	r, err := c.resolve(ctx, kind)
	if err != nil {
		return err
	}
	data, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	_, err = c.at(r, namespace).Patch(ctx, name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: FieldManager})
	return c.explain(doing, err)
}

// RequestReconcile asks a Flux controller to reconcile one of its objects now.
// The controller copies at into status.lastHandledReconcileAt once it has
// begun. The annotation is the one of Flux's API, fluxcd/pkg/apis/meta.
func (c *Cluster) RequestReconcile(ctx context.Context, kind schema.GroupVersionKind, namespace, name string, at time.Time) error {
	return c.Annotate(ctx, kind, namespace, name, map[string]string{
		"reconcile.fluxcd.io/requestedAt": at.UTC().Format(time.RFC3339Nano),
	})
}

// ApplyOptions say how Apply settles a conflict.
type ApplyOptions struct {
	Force   bool   // take fields over from other field managers
	Manager string // the field manager; "" means FieldManager
	Status  bool   // apply the status of objects that exist, and nothing else of them
	DryRun  bool   // return what the API server would hold, and change nothing
}

// Apply makes the API server hold object as given, by server-side apply, and
// returns what it now holds. The error is a Conflict status when another manager
// owns a field and Force is not set.
func (c *Cluster) Apply(ctx context.Context, object *unstructured.Unstructured, o ApplyOptions) (*unstructured.Unstructured, error) {
	kind, name, namespace := object.GroupVersionKind(), object.GetName(), object.GetNamespace()
	doing := fmt.Sprintf("applying %s %s", kind.Kind, path(namespace, name))
	if kind.Kind == "" || kind.Version == "" || name == "" {
		return nil, fmt.Errorf("%s: an object needs apiVersion, kind and metadata.name", doing)
	}
	r, err := c.resolve(ctx, kind)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	if r.namespaced && namespace == "" {
		return nil, fmt.Errorf("%s: metadata.namespace is missing", doing)
	}
	// What the API server sets itself is no part of an intent, and managed
	// fields are refused.
	object = object.DeepCopy()
	object.SetManagedFields(nil)
	for _, field := range []string{"resourceVersion", "uid", "generation", "creationTimestamp"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	options := metav1.ApplyOptions{FieldManager: cmp.Or(o.Manager, FieldManager), Force: o.Force}
	if o.DryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	var subresources []string
	if o.Status {
		subresources = []string{"status"}
	}
	applied, err := c.at(r, namespace).Apply(ctx, name, object, options, subresources...)
	return applied, c.explain(doing, err)
}

// ApplyAll applies objects, several at a time: first definitions and
// namespaces, then, once the definitions are established, the rest. It stops
// at the first error.
func (c *Cluster) ApplyAll(ctx context.Context, objects []*unstructured.Unstructured, o ApplyOptions) error {
	crd := Kind("CustomResourceDefinition")
	var first, rest []*unstructured.Unstructured
	var definitions []string
	for _, object := range objects {
		switch object.GroupVersionKind() {
		case crd:
			definitions = append(definitions, object.GetName())
			first = append(first, object)
		case Kind("Namespace"):
			first = append(first, object)
		default:
			rest = append(rest, object)
		}
	}
	if err := c.applyGroup(ctx, first, func(ctx context.Context, object *unstructured.Unstructured) error {
		_, err := c.Apply(ctx, object, o)
		return err
	}); err != nil {
		return err
	}
	if len(definitions) > 0 {
		if err := c.established(ctx, definitions); err != nil {
			return err
		}
	}
	return c.applyGroup(ctx, rest, func(ctx context.Context, object *unstructured.Unstructured) error {
		if len(definitions) == 0 {
			_, err := c.Apply(ctx, object, o)
			return err
		}
		return c.applyFresh(ctx, object, o)
	})
}

func (c *Cluster) applyGroup(ctx context.Context, objects []*unstructured.Unstructured, apply func(context.Context, *unstructured.Unstructured) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, object := range objects {
		group.Go(func() error { return apply(ctx, object) })
	}
	return group.Wait()
}

// applyFresh is Apply for an object whose kind may have been established a
// moment ago: the API server answers NotFound until it has built the handler.
func (c *Cluster) applyFresh(ctx context.Context, object *unstructured.Unstructured, o ApplyOptions) error {
	const patience, pause = 10 * time.Second, 100 * time.Millisecond
	deadline := time.Now().Add(patience)
	for {
		_, err := c.Apply(ctx, object, o)
		var unknown *NoKindError
		if !errors.As(err, &unknown) && !isNoHandler(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// isNoHandler tells the NotFound of a path that nobody serves from the one of
// a missing namespace, which names what it misses.
func isNoHandler(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Name == "" || details.Kind == ""
}

// established waits until the API server serves the named definitions.
func (c *Cluster) established(ctx context.Context, definitions []string) error {
	waiting := map[string]bool{}
	for _, name := range definitions {
		waiting[name] = true
	}
	return c.Watch(ctx, Kind("CustomResourceDefinition"), "", "", func(object *unstructured.Unstructured, deleted bool) (bool, error) {
		name := object.GetName()
		if !waiting[name] {
			return false, nil
		}
		if deleted {
			return false, fmt.Errorf("waiting for CustomResourceDefinition %s: it was deleted", name)
		}
		list, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
		for _, item := range list {
			condition, _ := item.(map[string]any)
			if condition["type"] == "Established" && condition["status"] == "True" {
				delete(waiting, name)
			}
			if condition["type"] == "NamesAccepted" && condition["status"] == "False" {
				return false, fmt.Errorf("waiting for CustomResourceDefinition %s: %v", name, condition["message"])
			}
		}
		return len(waiting) == 0, nil
	})
}

// Watch calls see for each object of a kind there is, then for each change of
// one, until see says it is done, see fails, or ctx ends. namespace "" means
// all, name "" means any. see gets an object more than once when the API server
// makes the watch start over.
func (c *Cluster) Watch(ctx context.Context, kind schema.GroupVersionKind, namespace, name string, see func(object *unstructured.Unstructured, deleted bool) (done bool, err error)) error {
	r, err := c.resolve(ctx, kind)
	if err != nil {
		return err
	}
	doing := "watching " + r.plural
	var selected metav1.ListOptions
	if name != "" {
		selected.FieldSelector = "metadata.name=" + name
	}
	for {
		list, err := c.at(r, namespace).List(ctx, selected)
		if err != nil {
			return c.explain(doing, err)
		}
		for i := range list.Items {
			if done, err := see(&list.Items[i], false); done || err != nil {
				return err
			}
		}
		options := selected
		options.ResourceVersion = list.GetResourceVersion()
		options.AllowWatchBookmarks = true
		done, err := c.follow(ctx, r, namespace, options, see)
		if done || err != nil && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			return c.explainSeen(doing, err)
		}
		// A watch that ends at once would otherwise become a busy loop.
		select {
		case <-ctx.Done():
			return c.explain(doing, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// seenError is an error of the caller's function, which is passed on as it is.
type seenError struct{ error }

func (c *Cluster) explainSeen(doing string, err error) error {
	if seen, ok := errors.AsType[seenError](err); ok {
		return seen.error
	}
	return c.explain(doing, err)
}

func (c *Cluster) follow(ctx context.Context, r resource, namespace string, options metav1.ListOptions, see func(*unstructured.Unstructured, bool) (bool, error)) (bool, error) {
	stream, err := c.at(r, namespace).Watch(ctx, options)
	if err != nil {
		return false, err
	}
	defer stream.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case event, open := <-stream.ResultChan():
			if !open {
				return false, nil
			}
			switch event.Type {
			case watch.Error:
				return false, apierrors.FromObject(event.Object)
			case watch.Bookmark:
				continue
			}
			object, ok := event.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			done, err := see(object, event.Type == watch.Deleted)
			if err != nil {
				return true, seenError{err}
			}
			if done {
				return true, nil
			}
		}
	}
}

// Version is the version the API server reports, such as "v1.36.4+k3s1".
func (c *Cluster) Version(ctx context.Context) (string, error) {
	body, err := c.raw.Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return "", c.explain("asking for the version", err)
	}
	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(body, &version); err != nil {
		return "", fmt.Errorf("reading the version of %s: %w", c.server, err)
	}
	return version.GitVersion, nil
}

func path(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}
