package helm

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	release "helm.sh/helm/v4/pkg/release/v1"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// Document is one object that a chart made, as Helm has it once helm-controller's
// post-renderers, which every release has, went over it: YAML 1.2 scalars ("yes" is a
// text), no empty annotations. It is shared by all that has the same text, and never
// changed.
type Document struct {
	Object map[string]any
	Hook   bool
	// Ignored is set for a hook of an unknown kind: Helm never applies it.
	Ignored bool
}

// ID is what kustomize, and with it every release of Flux, holds to be one object.
func (d *Document) ID() string {
	metadata, _ := d.Object["metadata"].(map[string]any)
	namespace, _ := metadata["namespace"].(string)
	return fmt.Sprint(d.Object["apiVersion"], "/", d.Object["kind"], "/", cmp.Or(namespace, "default"), "/", metadata["name"])
}

// Parser parses documents, each text only once. It is safe for concurrent use; the zero
// value is ready.
type Parser struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*parsed
	size  int
}

type parsed struct {
	once      sync.Once
	documents []*Document
	err       error
}

// maxKnown bounds the text whose documents are kept. Most documents of a chart are the same
// at all sites; the others are not worth keeping.
const maxKnown = 32 << 20

// Documents returns the objects of a rendered file, in its order.
func (p *Parser) Documents(f File) ([]*Document, error) {
	return p.each(f, "templates ", parseRendered)
}

// CRDs returns the definitions of a file of crds/. Other objects are not applied there.
func (p *Parser) CRDs(f File) ([]*Document, error) {
	return p.each(f, "crds ", parseCRD)
}

func (p *Parser) each(f File, kind string, parse func(string) ([]*Document, error)) ([]*Document, error) {
	parts := split(f.Text)
	var all []*Document
	for i := range len(parts) {
		text := parts[fmt.Sprintf("manifest-%d", i)] // as SplitManifests names them
		documents, err := p.parse(kind, text, parse)
		if err != nil {
			return nil, &Error{Kind: BadObject, File: f.Path, Message: fmt.Sprintf("document %d: %s", i+1, shorten(oneLine(err.Error())))}
		}
		all = append(all, documents...)
	}
	return all, nil
}

// split is Helm's SplitManifests, which looks at each line with a regular expression.
func split(text string) map[string]string {
	text = strings.TrimLeftFunc(text, unicode.IsSpace)
	if text != "" && !strings.HasPrefix(text, "---") && !strings.Contains(text, "\n---") {
		return map[string]string{"manifest-0": text}
	}
	return releaseutil.SplitManifests(text)
}

func (p *Parser) parse(kind, text string, parse func(string) ([]*Document, error)) ([]*Document, error) {
	key := sha256.Sum256([]byte(kind + text))
	p.mu.Lock()
	one, ok := p.known[key]
	if !ok {
		if p.size += len(text); p.known == nil || p.size > maxKnown {
			p.known, p.size = map[[sha256.Size]byte]*parsed{}, len(text)
		}
		one = &parsed{}
		p.known[key] = one
	}
	p.mu.Unlock()
	one.once.Do(func() { one.documents, one.err = parse(text) })
	return one.documents, one.err
}

var emptyInFlow = regexp.MustCompile(`:\s*[,}\]]`)

// parseRendered reads a document with the parser of kustomize, through which all that Flux
// installs goes.
func parseRendered(text string) ([]*Document, error) {
	var value any
	if err := kyaml.Unmarshal([]byte(text), &value); err != nil {
		return nil, err
	}
	if hasTime(value) || emptyInFlow.MatchString(text) {
		// kustomize writes a document again before it reads it: some dates and the empty
		// values of {a: , b: } then are texts.
		node, err := kyaml.Parse(text)
		if err != nil {
			return nil, err
		}
		again, err := node.String()
		if err != nil {
			return nil, err
		}
		if err := kyaml.Unmarshal([]byte(again), &value); err != nil {
			return nil, err
		}
	}
	value, err := plain(value, 0)
	if err != nil || value == nil {
		return nil, err
	}
	return objects(value)
}

func hasTime(value any) bool {
	switch v := value.(type) {
	case time.Time:
		return true
	case []any:
		return slices.ContainsFunc(v, hasTime)
	case map[string]any:
		for _, e := range v {
			if hasTime(e) {
				return true
			}
		}
	}
	return false
}

// objects returns an object, or those of a list.
func objects(value any) ([]*Document, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("it is no object")
	}
	if len(object) == 0 {
		return nil, nil
	}
	kind, _ := object["kind"].(string)
	if items, list := object["items"]; list && strings.HasSuffix(kind, "List") {
		all, ok := items.([]any)
		if !ok && items != nil {
			return nil, fmt.Errorf("the items of a %s are no list", kind)
		}
		var documents []*Document
		for _, item := range all {
			inner, err := objects(item)
			if err != nil {
				return nil, err
			}
			documents = append(documents, inner...)
		}
		return documents, nil
	}
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	switch apiVersion, _ := object["apiVersion"].(string); {
	case kind == "":
		return nil, fmt.Errorf("it has no kind")
	case apiVersion == "":
		return nil, fmt.Errorf("the %s has no apiVersion", kind)
	case name == "" && !strings.HasSuffix(kind, "List"):
		return nil, fmt.Errorf("the %s has no metadata.name, which the post-renderers of Flux ask for", kind)
	}
	d := &Document{Object: object}
	if annotations, ok := metadata["annotations"]; ok {
		texts, _ := annotations.(map[string]any)
		if len(texts) == 0 {
			delete(metadata, "annotations")
		}
		d.Hook, d.Ignored = hook(texts)
	}
	return []*Document{d}, nil
}

// hook returns whether annotations make an object a hook, and whether it is one that Helm
// does not know.
func hook(annotations map[string]any) (is, ignored bool) {
	kinds, is := annotations[release.HookAnnotation].(string)
	if !is {
		return false, false
	}
	for kind := range strings.SplitSeq(kinds, ",") {
		switch release.HookEvent(strings.ToLower(strings.TrimSpace(kind))) {
		case release.HookPreInstall, release.HookPostInstall, release.HookPreDelete, release.HookPostDelete, release.HookPreUpgrade,
			release.HookPostUpgrade, release.HookPreRollback, release.HookPostRollback, release.HookTest, "test-success":
		default:
			ignored = true
		}
	}
	return true, ignored
}

// maxLevels bounds how deep an object nests.
const maxLevels = 200

// plain makes of a YAML value what a round trip through JSON leaves of it: kustomize does
// that round trip.
func plain(value any, depth int) (any, error) {
	if depth > maxLevels {
		return nil, fmt.Errorf("it nests deeper than %d levels", maxLevels)
	}
	switch v := value.(type) {
	case map[string]any:
		made := make(map[string]any, len(v))
		for k, e := range v {
			e, err := plain(e, depth+1)
			if err != nil {
				return nil, err
			}
			made[k] = e
		}
		return made, nil
	case map[any]any:
		for _, k := range slices.SortedFunc(maps.Keys(v), func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) {
			if _, ok := k.(string); !ok {
				return nil, fmt.Errorf("the key %v is no text: quote it", k)
			}
		}
		return nil, fmt.Errorf("a key is no text: quote it")
	case []any:
		made := make([]any, len(v))
		for i, e := range v {
			e, err := plain(e, depth+1)
			if err != nil {
				return nil, err
			}
			made[i] = e
		}
		return made, nil
	case int:
		return int64(v), nil
	case uint64:
		return float64(v), nil
	case float64:
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			return nil, fmt.Errorf("%v is no number of JSON", v)
		case v == math.Trunc(v) && math.Abs(v) < 1<<63:
			return int64(v), nil
		}
		return v, nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	}
	return value, nil
}

// parseCRD reads a document as Helm's client does. Nothing goes over the files of crds/.
func parseCRD(text string) ([]*Document, error) {
	var object map[string]any
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		return nil, err
	}
	apiVersion, _ := object["apiVersion"].(string)
	if group, _, _ := strings.Cut(apiVersion, "/"); group != "apiextensions.k8s.io" || object["kind"] != "CustomResourceDefinition" {
		return nil, nil
	}
	value, err := plain(object, 0)
	if err != nil {
		return nil, err
	}
	object, _ = value.(map[string]any)
	return []*Document{{Object: object}}, nil
}
