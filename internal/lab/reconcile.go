package lab

import (
	"context"
	"errors"
	"fmt"
	"os"

	"archipel/internal/kube"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// firstKinds are those of the two objects that everything on a site begins with.
func firstKinds() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		{Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "GitRepository"},
		{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization"},
	}
}

// Open opens the cluster of a site.
func (l *Lab) Open(site string) (*kube.Cluster, error) {
	if _, err := os.Stat(l.Kubeconfig()); errors.Is(err, os.ErrNotExist) { // of hosts
		return nil, errors.New("the lab has no kubeconfig yet; archipel lab kubeconfig fetches it once the site is bootstrapped")
	}
	return kube.Open(kube.Config{Paths: []string{l.Kubeconfig()}, Context: site})
}

// Reconcile makes Flux at a site fetch the repository and begin to apply it
// now. It returns when Flux has done so, whether it succeeded or not: status
// tells what came of it.
func (l *Lab) Reconcile(ctx context.Context, site string) error {
	cluster, err := l.Open(site)
	if err != nil {
		return err
	}
	defer cluster.Close()
	for _, kind := range firstKinds() {
		if err := l.reconcileOne(ctx, cluster, kind); err != nil {
			return fmt.Errorf("reconciling %s of %s: %w", kind.Kind, site, err)
		}
	}
	return nil
}

func (l *Lab) reconcileOne(ctx context.Context, cluster *kube.Cluster, kind schema.GroupVersionKind) error {
	at := l.config.Now()
	if err := cluster.RequestReconcile(ctx, kind, fluxNamespace, fluxNamespace, at); err != nil {
		return err
	}
	return cluster.Watch(ctx, kind, fluxNamespace, fluxNamespace,
		func(object *unstructured.Unstructured, deleted bool) (bool, error) {
			if deleted {
				return false, fmt.Errorf("%s/%s was deleted", kind.Kind, fluxNamespace)
			}
			handled, _, _ := unstructured.NestedString(object.Object, "status", "lastHandledReconcileAt")
			wanted := object.GetAnnotations()["reconcile.fluxcd.io/requestedAt"]
			return handled == wanted, nil
		})
}
