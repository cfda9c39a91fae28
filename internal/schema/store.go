package schema

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Store holds what is read and compiled, so that nothing is twice. It is safe for
// concurrent use; make one for a run.
type Store struct {
	digests    summer
	mu         sync.Mutex
	builtins   map[string]func() *builtin
	byIdentity map[uintptr]known
	byContent  map[digest]*definition
	sets       map[string]*Set
	values     map[digest]func() *valuesSchema
}

// known is a definition that was read, by the map that it came in. The map is kept, so
// that no other can have its address.
type known struct {
	object     map[string]any
	definition *definition
}

// New returns an empty store. Nothing is read before it is asked for.
func New() *Store {
	return &Store{
		digests:    newSummer(),
		builtins:   map[string]func() *builtin{},
		byIdentity: map[uintptr]known{},
		byContent:  map[digest]*definition{},
		sets:       map[string]*Set{},
		values:     map[digest]func() *valuesSchema{},
	}
}

// Set returns the schemas of a minor ("1.36", "v1.36.4+k3s1" and the like) and of
// definitions (objects of kind CustomResourceDefinition; others are ignored), which must
// not be changed afterwards. Of two definitions of one name the later one counts. Equal
// inputs give the same set. A problem says that the minor is not known and another one is
// taken, or which definition cannot be used.
func (s *Store) Set(version string, definitions []map[string]any) (*Set, []Problem) {
	minor, problems := chooseMinor(version)
	base := s.builtin(minor)
	byName := map[string]*definition{}
	for _, object := range definitions {
		if text(object["kind"]) != "CustomResourceDefinition" || !strings.HasPrefix(text(object["apiVersion"]), "apiextensions.k8s.io/") {
			continue
		}
		d := s.definition(object)
		problems = append(problems, d.problems...)
		if d.group != "" && d.kind != "" {
			byName[d.kind+"."+d.group] = d
		}
	}
	var ids []string
	for _, d := range byName {
		ids = append(ids, fmt.Sprintf("%x", d.digest))
	}
	slices.Sort(ids)
	id := minor + " " + strings.Join(ids, " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.sets[id]
	if set == nil {
		set = newSet(s, base, byName)
		s.sets[id] = set
	}
	return set, problems
}

// definition reads a definition once, whether it comes as the same map or as an equal one.
func (s *Store) definition(object map[string]any) *definition {
	address := reflect.ValueOf(object).Pointer()
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.byIdentity[address]; ok {
		return k.definition
	}
	sum := s.digests.sum(object)
	d := s.byContent[sum]
	if d == nil {
		d = readDefinition(object, sum)
		s.byContent[sum] = d
	}
	s.byIdentity[address] = known{object, d}
	return d
}

// chooseMinor returns the minor of a version, or the nearest one that is known and a
// problem that says so.
func chooseMinor(version string) (string, []Problem) {
	minors := Minors()
	wanted := minorNumber(version)
	if wanted < 0 {
		newest := minors[len(minors)-1]
		return newest, []Problem{{
			Kind:    SchemaVersionMissing,
			Message: fmt.Sprintf("%s is no version of Kubernetes: the schemas of %s are used", quoted(version), newest),
		}}
	}
	nearest := slices.MinFunc(minors, func(a, b string) int {
		return abs(minorNumber(a)-wanted) - abs(minorNumber(b)-wanted)
	})
	if minorNumber(nearest) == wanted {
		return nearest, nil
	}
	return nearest, []Problem{{
		Kind:    SchemaVersionMissing,
		Message: fmt.Sprintf("the schemas of Kubernetes 1.%d are not known here: those of %s are used", wanted, nearest),
	}}
}

func abs(n int) int { return max(n, -n) }
