package schema

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Scope says where the objects of a kind live.
type Scope int

// The scopes.
const (
	Unknown Scope = iota // the kind is not known
	Namespaced
	Cluster
)

// Set is what an API server of one minor with some definitions accepts. It is safe for
// concurrent use.
type Set struct {
	store       *Store
	base        *builtin
	definitions map[string]*definition // by kind.group

	mu       sync.Mutex
	verdicts map[digest][]Problem
}

func newSet(store *Store, base *builtin, definitions map[string]*definition) *Set {
	return &Set{store: store, base: base, definitions: definitions, verdicts: map[digest][]Problem{}}
}

// Minor is the Kubernetes minor of the schemas, for example "1.36".
func (s *Set) Minor() string { return s.base.minor }

// Scope says whether objects of a kind live in a namespace. The version does not matter.
func (s *Set) Scope(group, kind string) Scope {
	if d := s.definitions[kind+"."+group]; d != nil {
		return d.scope
	}
	for key, served := range s.base.kinds {
		if key.kind == kind && groupOf(key.apiVersion) == group {
			return served.scope
		}
	}
	return Unknown
}

// KnownKind says whether the API server would serve the kind in this version.
func (s *Set) KnownKind(apiVersion, kind string) bool {
	if _, ok := s.base.kinds[kindKey{apiVersion, kind}]; ok {
		return !unstable(apiVersion)
	}
	d := s.definitions[kind+"."+groupOf(apiVersion)]
	return d != nil && d.versions[versionOf(apiVersion)] != nil && d.versions[versionOf(apiVersion)].served
}

// Kinds are all kinds that the API server would serve, as apiVersion/kind, sorted: what
// Helm's charts see as capabilities, without the versions alone.
func (s *Set) Kinds() []string {
	var kinds []string
	for key := range s.base.kinds {
		if !unstable(key.apiVersion) {
			kinds = append(kinds, key.apiVersion+"/"+key.kind)
		}
	}
	for _, d := range s.definitions {
		for name, version := range d.versions {
			if version.served {
				kinds = append(kinds, d.group+"/"+name+"/"+d.kind)
			}
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// Validate returns what the API server would refuse of an object, sorted by path. Its
// answer for an object is kept, so that an equal one costs next to nothing.
func (s *Set) Validate(object map[string]any) []Problem {
	sum := s.store.digests.sum(object)
	s.mu.Lock()
	verdict, ok := s.verdicts[sum]
	s.mu.Unlock()
	if !ok {
		verdict = s.validate(object)
		s.mu.Lock()
		s.verdicts[sum] = verdict
		s.mu.Unlock()
	}
	return slices.Clone(verdict)
}

func (s *Set) validate(object map[string]any) []Problem {
	apiVersion, kind := text(object["apiVersion"]), text(object["kind"])
	w := &walk{types: s.base.types, secret: kind == "Secret" && apiVersion == "v1"}
	for _, field := range []string{"apiVersion", "kind"} {
		if text(object[field]) == "" {
			w.add(MissingRequired, "write it", "the object has no %s", field)
		}
	}
	if len(w.problems) > 0 {
		return w.problems
	}
	if r, ok := s.base.kinds[kindKey{apiVersion, kind}]; ok {
		if unstable(apiVersion) {
			w.push("apiVersion")
			w.add(DisabledAPI, "", "no API server serves %s of %s unless it is told to", kind, apiVersion)
			w.pop()
		}
		w.object(r.lazy.get(), object, apiVersion, kind, r.scope)
		w.wellFormed(object, apiVersion, kind)
		return w.sorted()
	}
	d := s.definitions[kind+"."+groupOf(apiVersion)]
	if d == nil || d.versions[versionOf(apiVersion)] == nil || !d.versions[versionOf(apiVersion)].served {
		return []Problem{s.unserved(d, apiVersion, kind)}
	}
	version := d.versions[versionOf(apiVersion)]
	w.definition = true
	w.ownStatus = version.status
	w.object(version.lazy.get(), object, apiVersion, kind, d.scope)
	if len(w.problems) == 0 && version.rules != nil {
		w.problems = version.rules.check(object, nil)
	}
	return w.sorted()
}

// sorted returns what was found, in the order of the paths.
func (w *walk) sorted() []Problem {
	slices.SortStableFunc(w.problems, func(a, b Problem) int {
		return cmp.Or(comparePaths(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return w.problems
}

// comparePaths orders indices as numbers.
func comparePaths(a, b []string) int {
	return slices.CompareFunc(a, b, func(x, y string) int {
		i, err1 := strconv.Atoi(x)
		j, err2 := strconv.Atoi(y)
		if err1 == nil && err2 == nil {
			return cmp.Compare(i, j)
		}
		return cmp.Compare(x, y)
	})
}

func groupOf(apiVersion string) string {
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return group
}

func versionOf(apiVersion string) string {
	_, version, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return apiVersion
	}
	return version
}

// unstable tells the versions of built-in groups that are off by default: all alpha and,
// since Kubernetes 1.24, all new beta versions. No older beta is left in 1.34.
func unstable(apiVersion string) bool {
	version := versionOf(apiVersion)
	return strings.Contains(version, "alpha") || strings.Contains(version, "beta")
}

func text(value any) string {
	s, _ := value.(string)
	return s
}
