package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// resource is how the API server names a kind in its paths.
type resource struct {
	gvk        schema.GroupVersionKind
	plural     string
	namespaced bool
}

// wellKnown lists the kinds that archipel itself reads, so that reading them
// costs no discovery. Flux: source-controller and kustomize-controller API v1,
// helm-controller API v2.
func wellKnown() []resource {
	const (
		source = "source.toolkit.fluxcd.io"
		kust   = "kustomize.toolkit.fluxcd.io"
		helm   = "helm.toolkit.fluxcd.io"
		crds   = "apiextensions.k8s.io"
	)
	return []resource{
		{gvk("", "v1", "Node"), "nodes", false},
		{gvk("", "v1", "Namespace"), "namespaces", false},
		{gvk("", "v1", "Pod"), "pods", true},
		{gvk("", "v1", "Secret"), "secrets", true},
		{gvk("", "v1", "ConfigMap"), "configmaps", true},
		{gvk("", "v1", "Service"), "services", true},
		{gvk("", "v1", "Event"), "events", true},
		{gvk("apps", "v1", "Deployment"), "deployments", true},
		{gvk("apps", "v1", "DaemonSet"), "daemonsets", true},
		{gvk("apps", "v1", "StatefulSet"), "statefulsets", true},
		{gvk(crds, "v1", "CustomResourceDefinition"), "customresourcedefinitions", false},
		{gvk(source, "v1", "GitRepository"), "gitrepositories", true},
		{gvk(source, "v1", "OCIRepository"), "ocirepositories", true},
		{gvk(source, "v1", "HelmRepository"), "helmrepositories", true},
		{gvk(source, "v1", "HelmChart"), "helmcharts", true},
		{gvk(kust, "v1", "Kustomization"), "kustomizations", true},
		{gvk(helm, "v2", "HelmRelease"), "helmreleases", true},
	}
}

func gvk(group, version, kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
}

// Kind is the full name of a kind that archipel itself reads, by its short
// name, such as "GitRepository". The zero value means that it reads no such
// kind.
func Kind(name string) schema.GroupVersionKind {
	for _, r := range wellKnown() {
		if r.gvk.Kind == name {
			return r.gvk
		}
	}
	return schema.GroupVersionKind{}
}

// NoKindError says that the API server serves no such kind, most often because
// its CustomResourceDefinition is not there (yet).
type NoKindError struct {
	Kind schema.GroupVersionKind
}

func (e *NoKindError) Error() string {
	return fmt.Sprintf("the API server knows no kind %s in %s: apply its CustomResourceDefinition first",
		e.Kind.Kind, e.Kind.GroupVersion())
}

// resolve finds how the API server names kind, asking it once for each API
// version that archipel does not read itself.
func (c *Cluster) resolve(ctx context.Context, kind schema.GroupVersionKind) (resource, error) {
	for _, r := range wellKnown() {
		if r.gvk == kind {
			return r, nil
		}
	}
	c.mu.Lock()
	served := c.known[kind.GroupVersion()]
	c.mu.Unlock()
	if r, ok := find(served, kind); ok {
		return r, nil
	}
	// An earlier answer without the kind is asked for again: a definition may
	// have been applied since.
	served, err := c.discover(ctx, kind.GroupVersion())
	if err != nil {
		return resource{}, err
	}
	c.mu.Lock()
	c.known[kind.GroupVersion()] = served
	c.mu.Unlock()
	if r, ok := find(served, kind); ok {
		return r, nil
	}
	return resource{}, &NoKindError{Kind: kind}
}

func find(served []resource, kind schema.GroupVersionKind) (resource, bool) {
	for _, r := range served {
		if r.gvk == kind {
			return r, true
		}
	}
	return resource{}, false
}

// discover lists the kinds of one API version; none when the API server does
// not serve that version.
func (c *Cluster) discover(ctx context.Context, version schema.GroupVersion) ([]resource, error) {
	path := []string{"/apis", version.Group, version.Version}
	if version.Group == "" {
		path = []string{"/api", version.Version}
	}
	body, err := c.raw.Get().AbsPath(path...).DoRaw(ctx)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.explain("asking for the kinds of "+version.String(), err)
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("reading the kinds of %s: %w", version, err)
	}
	var served []resource
	for _, r := range list.APIResources {
		if strings.Contains(r.Name, "/") {
			continue // a subresource, such as pods/log
		}
		served = append(served, resource{version.WithKind(r.Kind), r.Name, r.Namespaced})
	}
	return served, nil
}

// at is the client for r in namespace; all namespaces when it is "".
func (c *Cluster) at(r resource, namespace string) dynamic.ResourceInterface {
	all := c.dynamic.Resource(r.gvk.GroupVersion().WithResource(r.plural))
	if namespace == "" || !r.namespaced {
		return all
	}
	return all.Namespace(namespace)
}
