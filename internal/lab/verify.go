package lab

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"archipel/internal/chart"
	"archipel/internal/fleet"
	"archipel/internal/kube"
	"archipel/internal/render"
	"archipel/internal/secret"
	"archipel/internal/source"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The field managers under which Flux's controllers apply.
const (
	kustomizeManager = "kustomize-controller"
	helmManager      = "helm-controller"
)

// Verification says how what render computes for a site compares with what Flux has
// applied there.
type Verification struct {
	Site        string       `json:"site"`
	Revision    string       `json:"revision"` // as Flux reports it
	Compared    int          `json:"compared"` // objects
	Differences []Difference `json:"differences"`
	NotCompared []string     `json:"notCompared"` // objects that cannot be, each with the reason
}

// Difference is one field, or a whole object, that differs.
type Difference struct {
	Object   string `json:"object"`             // kind namespace/name
	Path     string `json:"path,omitempty"`     // of the field; empty when the object as a whole is what differs
	Rendered any    `json:"rendered,omitempty"` // what the API server would hold; nil for nothing
	Live     any    `json:"live,omitempty"`
	Message  string `json:"message,omitempty"` // about a whole object
}

// Verify compares what render computes with what the real Flux applied at a site. Each
// rendered object is applied in a dry run under the name of the controller that applied
// the real one: the API server itself then says which fields would change, and its own
// defaults do not count. What Flux's inventories hold and render has not is a difference
// too. keys are the user's, for a lab that was raised with the repository's secrets.
func (l *Lab) Verify(ctx context.Context, site string, keys func() (*secret.Identities, error)) (*Verification, error) {
	cluster, err := l.Open(site)
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	root, err := cluster.Get(ctx, kube.Kind("Kustomization"), fluxNamespace, fluxNamespace)
	if err != nil {
		return nil, err
	}
	v := &Verification{Site: site, Differences: []Difference{}, NotCompared: []string{}}
	v.Revision, _, _ = unstructured.NestedString(root.Object, "status", "lastAppliedRevision")
	result, err := l.render(ctx, cluster, site, v.Revision, keys)
	if err != nil {
		return nil, err
	}
	for _, s := range result.Skipped {
		if s.Code == "chart-random" || s.Code == "chart-lookup" { // told for each field that differs
			continue
		}
		v.NotCompared = append(v.NotCompared, s.Object+": "+s.Reason)
	}
	for _, f := range result.Findings {
		v.Differences = append(v.Differences, Difference{Object: f.Position.File, Message: "render refuses what Flux has applied: " + f.Message})
	}
	if err := v.compareAll(ctx, cluster, result.Objects); err != nil {
		return nil, err
	}
	if err := v.compareInventories(ctx, cluster, result.Objects); err != nil {
		return nil, err
	}
	slices.SortFunc(v.Differences, func(a, b Difference) int {
		return strings.Compare(a.Object+"\x00"+a.Path+a.Message, b.Object+"\x00"+b.Path+b.Message)
	})
	slices.Sort(v.NotCompared)
	return v, nil
}

// render renders the revision that Flux has applied, with its secrets opened.
func (l *Lab) render(ctx context.Context, cluster *kube.Cluster, name, revision string, keys func() (*secret.Identities, error)) (*render.Result, error) {
	_, commit, ok := strings.Cut(revision, "@sha1:")
	if !ok {
		return nil, fmt.Errorf("verifying %s: Flux has applied no revision of the repository yet", name)
	}
	files, err := l.Served(commit)
	if err != nil {
		return nil, fmt.Errorf("verifying %s: %w", name, err)
	}
	f, _ := fleet.Load(files)
	site, ok := f.Site(name)
	if !ok {
		return nil, fmt.Errorf("verifying %s: the revision %s does not declare it", name, revision)
	}
	identities, err := l.verifyingKeys(keys)
	if err != nil {
		return nil, err
	}
	charts, err := l.charts()
	if err != nil {
		return nil, err
	}
	if site.Facts.K3sVersion, err = cluster.Version(ctx); err != nil {
		return nil, err
	}
	return render.New(render.Config{FS: files, Charts: charts, Identities: identities}).Site(ctx, site)
}

// Served returns a commit of the repositories that the lab serves. They are not
// those of the checkout: the lab commits what the working tree holds.
func (l *Lab) Served(commit string) (*source.Revision, error) {
	var files *source.Revision
	found := errors.New("the lab serves no repository")
	err := filepath.WalkDir(l.gitDir(), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "HEAD" {
			return err
		}
		git, err := source.OpenGit(filepath.Dir(name))
		if err == nil {
			files, err = git.Revision(commit)
		}
		if found = err; found == nil {
			return fs.SkipAll
		}
		return fs.SkipDir // the rest of a repository
	})
	return files, cmp.Or(found, err)
}

// verifyingKeys open the secrets that the lab was raised with.
func (l *Lab) verifyingKeys(keys func() (*secret.Identities, error)) (*secret.Identities, error) {
	r, err := l.readRecord()
	if err != nil {
		return nil, err
	}
	if r.RepositorySecrets {
		return keys()
	}
	identity, err := l.identity()
	if err != nil {
		return nil, err
	}
	return secret.ParseIdentities(identity)
}

// charts fetches what source-controller fetches: from the lab's own upstream, which it
// trusts as the only one, into a folder of the lab.
func (l *Lab) charts() (*chart.Store, error) {
	r, err := l.readRecord()
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(l.upstreamCA())
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of the lab's upstream: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("reading the certificate of the lab's upstream: it holds none")
	}
	proxy := &url.URL{Scheme: "http", Host: netip.AddrPortFrom(upstreamAddress(r.Slot), proxyPort).String()}
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}}
	return chart.New(chart.Config{Cache: filepath.Join(l.dir, "charts"), Client: client}), nil
}

// compareAll compares each rendered object with the one in the cluster.
func (v *Verification) compareAll(ctx context.Context, cluster *kube.Cluster, objects []*render.Object) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, o := range objects {
		switch {
		case o.Origin.Hook:
			v.NotCompared = append(v.NotCompared, nameOf(o.Unstructured)+": a Helm hook does not stay")
			continue
		case o.Origin.Opaque:
			v.NotCompared = append(v.NotCompared, nameOf(o.Unstructured)+": its values cannot be decrypted")
			continue
		}
		group.Go(func() error {
			differences, err := compareOne(ctx, cluster, o)
			mu.Lock()
			defer mu.Unlock()
			v.Compared++
			if len(o.Origin.Unsure) == 0 {
				v.Differences = append(v.Differences, differences...)
				return err
			}
			for _, d := range differences { // nobody can know the value
				v.NotCompared = append(v.NotCompared, fmt.Sprintf("%s %s: its template calls %s", d.Object, d.Path, strings.Join(o.Origin.Unsure, ", ")))
			}
			return err
		})
	}
	return group.Wait()
}

func compareOne(ctx context.Context, cluster *kube.Cluster, o *render.Object) ([]Difference, error) {
	live, err := cluster.Get(ctx, o.GroupVersionKind(), o.GetNamespace(), o.GetName())
	if apierrors.IsNotFound(err) {
		return []Difference{{Object: nameOf(o.Unstructured), Message: "render has it, and the cluster does not"}}, nil
	}
	if err != nil {
		return nil, err
	}
	manager := kustomizeManager
	if o.Origin.Release != nil {
		manager = helmManager
	}
	applied, err := cluster.Apply(ctx, o.Unstructured, kube.ApplyOptions{Manager: manager, Force: true, DryRun: true})
	if err != nil {
		var status apierrors.APIStatus
		if errors.As(err, &status) && ctx.Err() == nil {
			return []Difference{{Object: nameOf(o.Unstructured), Message: "the API server refuses what render has: " + err.Error()}}, nil
		}
		return nil, err
	}
	var differences []Difference
	compareFields(nil, stripped(applied), stripped(live), func(path []string, rendered, live any) {
		d := Difference{Object: nameOf(o.Unstructured), Path: strings.Join(path, "."), Rendered: rendered, Live: live}
		if o.GetKind() == "Secret" {
			d.Rendered, d.Live = mask(rendered), mask(live)
		}
		differences = append(differences, d)
	})
	return differences, nil
}

// mask says that there is a value, and not which.
func mask(value any) any {
	if value == nil {
		return nil
	}
	return render.Mask
}

// stripped is an object less what each write changes by itself.
func stripped(o *unstructured.Unstructured) map[string]any {
	object := o.DeepCopy().Object
	delete(object, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid"} {
		unstructured.RemoveNestedField(object, "metadata", field)
	}
	return object
}

// compareFields calls differ for each field that differs, by its path.
func compareFields(path []string, a, b any, differ func(path []string, a, b any)) {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			break
		}
		for key := range y {
			if _, both := x[key]; !both {
				differ(append(slices.Clone(path), key), nil, y[key])
			}
		}
		for key, value := range x {
			if other, both := y[key]; both {
				compareFields(append(slices.Clone(path), key), value, other, differ)
			} else {
				differ(append(slices.Clone(path), key), value, nil)
			}
		}
		return
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			break
		}
		for i := range x {
			compareFields(append(slices.Clone(path), fmt.Sprint(i)), x[i], y[i], differ)
		}
		return
	}
	if fmt.Sprintf("%T %v", a, a) != fmt.Sprintf("%T %v", b, b) {
		differ(path, a, b)
	}
}

// compareInventories finds what Flux has applied and render does not have.
func (v *Verification) compareInventories(ctx context.Context, cluster *kube.Cluster, objects []*render.Object) error {
	type owner struct{ kind, namespace, name string }
	rendered := map[owner]map[string]bool{}
	for _, o := range objects {
		by := owner{}
		switch {
		case o.Origin.Release != nil:
			by = owner{"HelmRelease", o.Origin.Release.Namespace, o.Origin.Release.Name}
		case o.Origin.Kustomization != nil:
			by = owner{"Kustomization", o.Origin.Kustomization.Namespace, o.Origin.Kustomization.Name}
		}
		if rendered[by] == nil {
			rendered[by] = map[string]bool{}
		}
		rendered[by][inventoryID(o.Unstructured)] = true
	}
	for _, kind := range []string{"Kustomization", "HelmRelease"} {
		list, err := cluster.List(ctx, kube.Kind(kind), "", "")
		if err != nil {
			return err
		}
		for i := range list {
			entries, _, err := unstructured.NestedSlice(list[i].Object, "status", "inventory", "entries")
			if err != nil {
				return fmt.Errorf("reading the inventory of %s: %w", nameOf(&list[i]), err)
			}
			has := rendered[owner{kind, list[i].GetNamespace(), list[i].GetName()}]
			for _, entry := range entries {
				fields, _ := entry.(map[string]any)
				if id, _ := fields["id"].(string); !has[id] {
					v.Differences = append(v.Differences, Difference{Object: nameOf(&list[i]), Message: "it has applied " + id + ", which render does not have"})
				}
			}
		}
	}
	return nil
}

// inventoryID is how Flux's inventories name an object: cli-utils' ObjMetadata.
func inventoryID(o *unstructured.Unstructured) string {
	return strings.Join([]string{o.GetNamespace(), strings.ReplaceAll(o.GetName(), ":", "__"), o.GroupVersionKind().Group, o.GetKind()}, "_")
}

func nameOf(o *unstructured.Unstructured) string {
	return strings.TrimSpace(o.GetKind() + " " + strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/"))
}
