// Package status takes one snapshot of all sites, with a timeout for each, and
// names the root cause of what is not ready.
package status

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// State is how far an object or a site is.
type State string

// The states. Only Ready and Suspended let a site count as ready.
const (
	Ready       State = "ready"
	Progressing State = "progressing" // on its way, or waits for another object
	Failed      State = "failed"      // needs a change, or fails at each retry
	Suspended   State = "suspended"   // switched off on purpose
	Unknown     State = "unknown"     // says nothing that archipel understands
	Unreachable State = "unreachable" // sites only: gives no answer
)

// Snapshot is what all sites looked like at one moment.
type Snapshot struct {
	Taken time.Time `json:"taken"`
	Sites []Site    `json:"sites"`
}

// Site is one site. Lists are sorted by kind, namespace and name.
type Site struct {
	Name              string     `json:"name"`
	State             State      `json:"state"`
	Reachable         bool       `json:"reachable"`
	Since             *time.Time `json:"since,omitempty"` // when it stopped to answer, if that is known
	Error             string     `json:"error,omitempty"` // one line: why it does not answer
	KubernetesVersion string     `json:"kubernetesVersion,omitempty"`
	Revision          string     `json:"revision,omitempty"` // of the source flux-system, as Flux writes it
	Nodes             []Node     `json:"nodes"`
	Kustomizations    []Object   `json:"kustomizations"`
	HelmReleases      []Object   `json:"helmReleases"`
	Sources           []Object   `json:"sources"`
	Workloads         []Object   `json:"workloads"` // those that Flux manages
	Causes            []Cause    `json:"causes"`
	Notes             []string   `json:"notes,omitempty"` // what could not be read, one line each
}

// Node is one node of a site.
type Node struct {
	Name    string     `json:"name"`
	Role    string     `json:"role"` // "server" or "agent"
	Version string     `json:"version,omitempty"`
	State   State      `json:"state"`
	Reason  string     `json:"reason,omitempty"`
	Message string     `json:"message,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
}

// Ref names one object.
type Ref struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is "Kind/name" in flux-system, where Flux's own objects live, and
// "Kind/namespace/name" elsewhere; "Kind" alone when it names none.
func (r Ref) String() string {
	if r.Name == "" {
		return r.Kind
	}
	return r.Kind + "/" + r.Path()
}

// Path is Ref without its kind.
func (r Ref) Path() string {
	if r.Namespace == "" || r.Namespace == fluxNamespace {
		return r.Name
	}
	return r.Namespace + "/" + r.Name
}

// Object is one object of Flux, or a workload that Flux manages.
type Object struct {
	Ref
	State    State      `json:"state"`
	Reason   string     `json:"reason,omitempty"`
	Message  string     `json:"message,omitempty"`  // one line
	Since    *time.Time `json:"since,omitempty"`    // since when it is in that state
	Revision string     `json:"revision,omitempty"` // what it holds: of a source, or of what was applied
	Version  string     `json:"version,omitempty"`  // of the chart that is installed
	Replicas *Replicas  `json:"replicas,omitempty"` // of a workload
}

// Replicas counts the pods of a workload.
type Replicas struct {
	Ready   int64 `json:"ready"`
	Desired int64 `json:"desired"`
}

// Cause is an object that is not ready by its own fault, at the start of a
// chain of objects that wait for it.
type Cause struct {
	Object  Ref        `json:"object"`
	State   State      `json:"state"`
	Reason  string     `json:"reason"`
	Message string     `json:"message"` // one line, at most 300 characters
	Hint    string     `json:"hint,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
	Affects []Ref      `json:"affects"` // what waits for it, nearest first
}

// Cluster is what a snapshot needs of a site.
type Cluster interface {
	Version(ctx context.Context) (string, error)
	// List returns all objects of a kind in a namespace, or in all of them
	// when it is "", that labels select.
	List(ctx context.Context, kind schema.GroupVersionKind, namespace, labels string) ([]unstructured.Unstructured, error)
}

// Target is a site to look at.
type Target struct {
	Name string
	Open func(ctx context.Context) (Cluster, error)
	// DownSince tells when the site stopped, if the caller can know; it is
	// asked only when the site gives no answer. It may be nil.
	DownSince func() (time.Time, bool)
}

// Options bound a snapshot. The zero value is usable.
type Options struct {
	Timeout  time.Duration    // for each site; 0 means 5 s
	Parallel int              // sites at a time; 0 means 16
	Now      func() time.Time // nil means time.Now
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Parallel <= 0 {
		o.Parallel = 16
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Ready tells whether every site answers and all of it is ready.
func (s Snapshot) Ready() bool {
	for _, site := range s.Sites {
		if site.State != Ready {
			return false
		}
	}
	return true
}

// ExitCode is 0 when all is ready, 1 when something is not, and 3 when there
// are sites and none of them answers.
func (s Snapshot) ExitCode() int {
	if s.Ready() {
		return 0
	}
	for _, site := range s.Sites {
		if site.Reachable {
			return 1
		}
	}
	return 3
}

// Take looks at all targets at the same time and returns them in their order.
// It returns after the timeout at the latest (after a multiple of it when
// there are more sites than Parallel), whatever a site does.
func Take(ctx context.Context, targets []Target, o Options) Snapshot {
	o = o.withDefaults()
	snapshot := Snapshot{Taken: o.Now(), Sites: make([]Site, len(targets))}
	places := make(chan struct{}, o.Parallel)
	var all sync.WaitGroup
	for i, target := range targets {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			snapshot.Sites[i] = takeOne(ctx, target, o)
		})
	}
	all.Wait()
	return snapshot
}

// takeOne returns in time even when the target's code ignores its context, as
// a credential plugin may.
func takeOne(ctx context.Context, target Target, o Options) Site {
	limited, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	answer := make(chan Site, 1)
	go func() { answer <- look(limited, target, o) }()
	// What was read before the timeout is worth a moment more.
	const grace = 250 * time.Millisecond
	var site Site
	select {
	case site = <-answer:
	case <-limited.Done():
		select {
		case site = <-answer:
		case <-time.After(grace):
			site = unreachable(target, noAnswer(limited, o))
		}
	}
	if !site.Reachable && target.DownSince != nil {
		if since, ok := target.DownSince(); ok {
			site.Since = &since
		}
	}
	return site
}

func noAnswer(ctx context.Context, o Options) string {
	if ctx.Err() == context.Canceled {
		return "interrupted"
	}
	return fmt.Sprintf("no answer within %s", o.Timeout)
}

func unreachable(target Target, reason string) Site {
	return Site{Name: target.Name, State: Unreachable, Error: oneLine(reason)}.withEmptyLists()
}

// withEmptyLists makes lists [] in JSON, never null.
func (s Site) withEmptyLists() Site {
	s.Nodes = notNil(s.Nodes)
	s.Kustomizations = notNil(s.Kustomizations)
	s.HelmReleases = notNil(s.HelmReleases)
	s.Sources = notNil(s.Sources)
	s.Workloads = notNil(s.Workloads)
	s.Causes = notNil(s.Causes)
	return s
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Watch takes a snapshot, shows it, waits for interval and starts over, until
// show returns true or ctx ends; then it returns ctx's error. A site that
// stops to answer keeps the time at which it first did not, and clusters stay
// open from one snapshot to the next.
func Watch(ctx context.Context, targets []Target, o Options, interval time.Duration, show func(Snapshot) (done bool)) error {
	o = o.withDefaults()
	kept := make([]*keptCluster, len(targets))
	watched := make([]Target, len(targets))
	for i, target := range targets {
		kept[i] = &keptCluster{open: target.Open}
		watched[i] = target
		watched[i].Open = kept[i].get
	}
	down := map[string]time.Time{}
	for {
		snapshot := Take(ctx, watched, o)
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range snapshot.Sites {
			site := &snapshot.Sites[i]
			if site.Reachable {
				delete(down, site.Name)
				continue
			}
			// What made it unreachable may need new credentials.
			kept[i].forget()
			first, known := down[site.Name]
			if !known {
				first = snapshot.Taken
				down[site.Name] = first
			}
			if site.Since == nil {
				site.Since = &first
			}
		}
		if show(snapshot) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(interval):
		}
	}
}

// keptCluster opens a cluster once, and never twice at a time: code that hangs
// would otherwise pile up with each snapshot.
type keptCluster struct {
	open    func(context.Context) (Cluster, error)
	mu      sync.Mutex
	opening *opening // the latest attempt; nil before the first
}

type opening struct {
	done    chan struct{} // closed when cluster and err are set
	cluster Cluster
	err     error
}

func (k *keptCluster) get(ctx context.Context) (Cluster, error) {
	k.mu.Lock()
	attempt := k.opening
	if attempt == nil {
		attempt = &opening{done: make(chan struct{})}
		k.opening = attempt
		go func() {
			attempt.cluster, attempt.err = k.open(ctx)
			close(attempt.done)
		}()
	}
	k.mu.Unlock()
	select {
	case <-attempt.done:
		return attempt.cluster, attempt.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// forget lets the next get open anew, unless the latest attempt still runs.
func (k *keptCluster) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.opening == nil {
		return
	}
	select {
	case <-k.opening.done:
		k.opening = nil
	default:
	}
}
