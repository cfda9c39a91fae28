package render

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"archipel/internal/chart"
	"archipel/internal/finding"
	"archipel/internal/fleet"
	"archipel/internal/secret"
)

// Config is what a Renderer works with.
type Config struct {
	FS         fs.FS              // the repository's root
	Charts     Charts             // nil: all that must be fetched is skipped
	Identities *secret.Identities // without one that fits, encrypted values stay as they are
	Results    string             // absolute folder to keep build results in; "" keeps none. It may be deleted at any time
	Program    string             // identifies the program in the keys of kept results
	Kubernetes string             // version for Path, DefaultKubernetes when empty; Site takes that of the facts
}

// DefaultKubernetes is the version that charts see where nothing says one.
const DefaultKubernetes = "v1.36.4"

// Charts fetches what is not in the repository. *chart.Store does.
type Charts interface {
	Get(ctx context.Context, reference chart.Reference) (*chart.Package, error)
}

// Renderer renders sites. Nothing is parsed, built or templated twice for equal
// inputs. It is safe for concurrent use.
type Renderer struct {
	fs         fs.FS
	charts     Charts
	kubernetes string
	keys       *keyring
	results    *results
	shared     *shared
	helm       *releases

	list     sync.Once
	tree     *tree
	listErr  error
	archives memo // of the tree, by spec.ignore
}

// shared is what renderers of several states of a repository have in common.
type shared struct {
	kustomize sync.RWMutex // held for writing by a build that changes kustomize's global OpenAPI schema
	memo      memo
	releases  releases
}

// New returns a renderer of a repository.
func New(c Config) *Renderer {
	common := &shared{}
	return &Renderer{
		fs: c.FS, charts: c.Charts, kubernetes: c.Kubernetes, keys: &keyring{c.Identities},
		results: &results{folder: c.Results, program: c.Program}, shared: common, helm: &common.releases,
	}
}

// On returns a renderer of another state of the repository that shares with r what
// depends on content alone.
func (r *Renderer) On(repository fs.FS) *Renderer {
	return &Renderer{
		fs: repository, charts: r.charts, kubernetes: r.kubernetes, keys: r.keys,
		results: r.results, shared: r.shared, helm: r.helm,
	}
}

// clusters holds the entry of each site.
const clusters = "kubernetes/flux/clusters"

// Site renders a site of the fleet. The error says that ctx ended or that the
// repository cannot be listed; everything else is a finding or a skip.
func (r *Renderer) Site(ctx context.Context, site *fleet.Site) (*Result, error) {
	result, err := r.render(ctx, path.Join(clusters, site.Name), site, site.Facts.K3sVersion)
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", site.Name, err)
	}
	return result, nil
}

// Path renders the folder that a Flux Kustomization of some cluster begins with,
// in a repository of any shape. dir is slash-separated and relative to Config.FS.
func (r *Renderer) Path(ctx context.Context, dir string) (*Result, error) {
	result, err := r.render(ctx, inside(dir), nil, or(r.kubernetes, DefaultKubernetes))
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", dir, err)
	}
	return result, nil
}

// repository lists the files of the repository, once.
func (r *Renderer) repository() (*tree, error) {
	r.list.Do(func() { r.tree, r.listErr = treeOf(r.fs) })
	return r.tree, r.listErr
}

// archive is the repository as source-controller archives it with spec.ignore.
func (r *Renderer) archive(ignore string) (*tree, error) {
	t, err := r.repository()
	if err != nil {
		return nil, err
	}
	made := r.archives.get(ignore, func() (any, *finding.Finding) {
		archived, err := t.archive(ignore)
		if err != nil {
			return err, nil
		}
		return archived, nil
	})
	if err, failed := made.value.(error); failed {
		return nil, err
	}
	return made.value.(*tree), nil
}

// once makes a value of a key at most once in the life of r and those made with On.
func (r *Renderer) once(key string, produce func() (any, *finding.Finding)) *entry {
	return r.shared.memo.get(key, produce)
}

// memo holds values by key, each made once.
type memo struct {
	mu      sync.Mutex
	entries map[string]*entry
}

type entry struct {
	once    sync.Once
	value   any
	problem *finding.Finding
}

func (m *memo) get(key string, produce func() (any, *finding.Finding)) *entry {
	m.mu.Lock()
	if m.entries == nil {
		m.entries = map[string]*entry{}
	}
	e := m.entries[key]
	if e == nil {
		e = &entry{}
		m.entries[key] = e
	}
	m.mu.Unlock()
	e.once.Do(func() { e.value, e.problem = produce() })
	return e
}
