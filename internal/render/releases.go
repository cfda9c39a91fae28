package render

import (
	"crypto/sha256"
	"sync"

	"archipel/internal/helm"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// releases holds what releases have in common, across sites. The zero value is ready; it is
// safe for concurrent use.
type releases struct {
	parser   helm.Parser
	charts   limited[[sha256.Size]byte, loadedChart]
	products limited[productKey, product]
	objects  limited[objectKey, *unstructured.Unstructured]
}

// Bounds on what is kept, in entries. A fleet has few charts. Releases whose values differ
// at each site are used once, and so are few of their objects.
const (
	maxCharts   = 256
	maxProducts = 64
	maxMarked   = 4096
)

// loadedChart is a chart, or why it cannot be loaded.
type loadedChart struct {
	chart *helm.Chart
	err   error
}

// productKey is all that what a release installs depends on.
type productKey struct {
	chart [sha256.Size]byte // of its files, its version and its defaults
	with  [sha256.Size]byte // of the release
}

// product is what a release installs, before its objects are placed on a site.
type product struct {
	items  []item
	with   [sha256.Size]byte // of what marks the objects of the release
	unsure []string
	err    error // a *helm.Error, a *postError, or that of a context
}

// item is a document that a release installs.
type item struct {
	document *helm.Document
	template string
	crd      bool
	bare     bool // no post-renderer went over it
	unsure   []string
}

// produced is one object as it is applied, shared by all sites that install the same.
type produced struct {
	object   *unstructured.Unstructured
	template string
	hook     bool
	crd      bool
	unsure   []string
}

// objectKey is all that an object depends on.
type objectKey struct {
	document *helm.Document
	with     [sha256.Size]byte
	hook     bool
	crd      bool
	bare     bool
	into     string // the namespace to set; "" for none
}

// limited is a cache that forgets everything once it has too many entries. What was
// forgotten is made again.
type limited[K comparable, V any] struct {
	mu      sync.Mutex
	entries map[K]*lazy[V]
}

type lazy[V any] struct {
	once  sync.Once
	value V
}

func (l *limited[K, V]) get(key K, most int, produce func() V) V {
	l.mu.Lock()
	one, ok := l.entries[key]
	if !ok {
		if l.entries == nil || len(l.entries) >= most {
			l.entries = map[K]*lazy[V]{}
		}
		one = &lazy[V]{}
		l.entries[key] = one
	}
	l.mu.Unlock()
	one.once.Do(func() { one.value = produce() })
	return one.value
}
