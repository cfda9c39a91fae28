package schema

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The files are made by lab/cmd/schemas from the modules k8s.io/kubernetes: make schemas
// writes them anew.
//
//go:embed openapi/*.gz
var files embed.FS

// objectMeta is the name of the type that all kinds have.
const objectMeta = "apimachinery.pkg.apis.meta.v1.ObjectMeta"

// Minors are the Kubernetes minors that are known, lowest first, for example "1.36".
func Minors() []string {
	entries, err := files.ReadDir("openapi")
	if err != nil {
		return nil
	}
	var minors []string
	for _, entry := range entries {
		minors = append(minors, strings.TrimSuffix(entry.Name(), ".gz"))
	}
	slices.SortFunc(minors, func(a, b string) int { return minorNumber(a) - minorNumber(b) })
	return minors
}

var minorPattern = regexp.MustCompile(`^v?1\.(\d{1,4})(\.|$|\+|-)`)

// minorNumber is 36 for "1.36" and "v1.36.4+k3s1", and -1 for what is no version.
func minorNumber(version string) int {
	match := minorPattern.FindStringSubmatch(version)
	if match == nil {
		return -1
	}
	number, err := strconv.Atoi(match[1])
	if err != nil {
		return -1
	}
	return number
}

// servedKind is one kind of one version.
type servedKind struct {
	scope Scope
	lazy  *lazy
}

type kindKey struct{ apiVersion, kind string }

// builtin is what one minor of Kubernetes has without any definition.
type builtin struct {
	minor  string
	number int
	kinds  map[kindKey]servedKind
	types  map[string]*lazy
}

// builtin returns a minor that Minors names, read once.
func (s *Store) builtin(minor string) *builtin {
	s.mu.Lock()
	load, ok := s.builtins[minor]
	if !ok {
		load = sync.OnceValue(func() *builtin { return readBuiltin(minor) })
		s.builtins[minor] = load
	}
	s.mu.Unlock()
	return load()
}

// readBuiltin reads a file that is part of the program: a test reads all of them.
func readBuiltin(minor string) *builtin {
	b := &builtin{minor: minor, number: minorNumber(minor), kinds: map[kindKey]servedKind{}, types: map[string]*lazy{}}
	packed, err := files.ReadFile("openapi/" + minor + ".gz")
	if err != nil {
		panic(fmt.Sprintf("schema: %v", err))
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(fmt.Sprintf("schema: %s: %v", minor, err))
	}
	data, err := io.ReadAll(unpacked)
	if err != nil {
		panic(fmt.Sprintf("schema: %s: %v", minor, err))
	}
	for line := range strings.Lines(string(data)) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case "kind":
			if parts := strings.Fields(rest); len(parts) == 4 {
				scope := Cluster
				if parts[2] == "namespaced" {
					scope = Namespaced
				}
				b.kinds[kindKey{parts[0], parts[1]}] = servedKind{scope: scope, lazy: b.lazy(parts[3])}
			}
		case "type":
			name, text, _ := strings.Cut(rest, " ")
			l := b.lazy(name)
			l.decode = func() *node { return b.decode(name, text) }
		}
	}
	return b
}

// lazy returns a type by name, which may be defined further down.
func (b *builtin) lazy(name string) *lazy {
	l := b.types[name]
	if l == nil {
		l = &lazy{name: name, decode: func() *node { return &node{open: true} }}
		b.types[name] = l
	}
	return l
}

// wire is a node as lab/cmd/schemas writes it.
type wire struct {
	Ref      string           `json:"r"`
	Type     string           `json:"t"`
	Format   string           `json:"f"`
	Fields   map[string]*wire `json:"p"`
	Extra    *wire            `json:"x"`
	Items    *wire            `json:"e"`
	Required []string         `json:"q"`
	Default  any              `json:"d"`
	Keys     []string         `json:"k"`
	Set      bool             `json:"u"`
	Enum     []string         `json:"v"`
}

func (b *builtin) decode(name, text string) *node {
	var w wire
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		panic(fmt.Sprintf("schema: %s of %s: %v", name, b.minor, err))
	}
	n := b.node(&w)
	n.check = typeCheck(name)
	loose := optional(name)
	n.required = slices.DeleteFunc(n.required, func(field string) bool { return slices.Contains(loose, field) })
	for field, check := range fieldChecks(name) {
		if f := n.fields[field]; f != nil {
			f.check = check
		}
	}
	return n
}

func (b *builtin) node(w *wire) *node {
	n := &node{format: w.Format, required: w.Required, keys: w.Keys, set: w.Set, standard: w.Default}
	if w.Ref != "" {
		// The types are all there: the map does not change after it was read.
		n.ref = b.types[w.Ref]
		return n
	}
	n.types = map[string]types{
		"s": stringType, "i": integerType, "n": numberType, "b": booleanType, "o": objectType, "a": arrayType,
	}[w.Type]
	for _, value := range w.Enum {
		n.enum = append(n.enum, value)
	}
	if w.Fields != nil {
		n.fields = make(map[string]*node, len(w.Fields))
		for name, field := range w.Fields {
			n.fields[name] = b.node(field)
		}
	}
	if w.Extra != nil {
		n.extra = b.node(w.Extra)
	}
	if w.Items != nil {
		n.items = b.node(w.Items)
	}
	n.open = n.fields == nil && n.extra == nil // RawExtension and JSON
	return n
}
