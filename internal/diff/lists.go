package diff

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// mergeKeys are the keys by which the entries of a list are told apart, as
// the OpenAPI schemas of Kubernetes and of usual definitions name them in
// x-kubernetes-list-map-keys. The first that fits is taken.
func mergeKeys() [][]string {
	return [][]string{
		{"name"}, {"containerPort", "protocol"}, {"containerPort"}, {"port", "protocol"}, {"port"}, {"mountPath"}, {"devicePath"},
		{"uid"}, {"ip"}, {"type"}, {"topologyKey", "whenUnsatisfiable"}, {"key"}, {"kind", "targetPath"}, {"host"}, {"path"}, {"url"},
	}
}

// lists compares two lists: by merge keys, as sets of scalars, or by position.
func (d *fieldDiffer) lists(path steps, a, b []any) {
	if reflect.DeepEqual(a, b) {
		return
	}
	if len(a) > maxLists || len(b) > maxLists {
		d.positions(path, a, b)
		return
	}
	for _, keys := range mergeKeys() {
		x, ok := byKey(a, keys)
		if !ok {
			continue
		}
		if y, ok := byKey(b, keys); ok {
			d.keyed(path, x, y)
			return
		}
	}
	if scalars(a) && scalars(b) {
		d.scalars(path, a, b)
		return
	}
	d.positions(path, a, b)
}

// keyedEntry is an entry of a list and its merge key.
type keyedEntry struct {
	key   string
	value any
}

// byKey gives each entry its merge key; false when one has none or two share it.
func byKey(list []any, keys []string) ([]keyedEntry, bool) {
	seen := make(map[string]bool, len(list))
	var entries []keyedEntry
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		var parts []string
		for _, key := range keys {
			switch part := m[key].(type) {
			case string:
				parts = append(parts, part)
			case int64, int, float64:
				parts = append(parts, fmt.Sprint(part))
			default:
				return nil, false
			}
		}
		id := strings.Join(parts, "/")
		if seen[id] {
			return nil, false
		}
		seen[id] = true
		entries = append(entries, keyedEntry{id, v})
	}
	return entries, true
}

func (d *fieldDiffer) keyed(path steps, a, b []keyedEntry) {
	at := func(list []keyedEntry, key string) int {
		return slices.IndexFunc(list, func(e keyedEntry) bool { return e.key == key })
	}
	for _, e := range a {
		next := path.with(step{key: e.key, entry: true})
		if i := at(b, e.key); i >= 0 {
			d.compare(next, e.value, b[i].value)
		} else {
			d.whole(next, FieldRemoved, e.value)
		}
	}
	for _, e := range b {
		if at(a, e.key) < 0 {
			d.whole(path.with(step{key: e.key, entry: true}), FieldAdded, e.value)
		}
	}
}

func scalars(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool {
		switch v.(type) {
		case map[string]any, []any:
			return true
		}
		return false
	})
}

// scalars compares two lists as the sets that most of them are. What begins
// like a flag is told apart by its name.
func (d *fieldDiffer) scalars(path steps, a, b []any) {
	removed, added := without(a, b), without(b, a)
	if len(removed)+len(added) == 0 {
		d.add(path, FieldReordered, a, b)
		return
	}
	for _, v := range removed {
		name, isFlag := flagName(v)
		i := -1
		if isFlag {
			i = slices.IndexFunc(added, func(w any) bool { other, ok := flagName(w); return ok && other == name })
		}
		if i >= 0 {
			d.add(path.with(step{key: name, entry: true}), FieldChanged, v, added[i])
			added = slices.Delete(added, i, i+1)
			continue
		}
		d.add(path.with(step{entry: true}), FieldRemoved, v, nil)
	}
	for _, v := range added {
		d.add(path.with(step{entry: true}), FieldAdded, nil, v)
	}
}

// flagName is the part of --name=value before the sign.
func flagName(v any) (string, bool) {
	s, ok := v.(string)
	if !ok || !strings.HasPrefix(s, "-") {
		return "", false
	}
	name, _, ok := strings.Cut(s, "=")
	return name, ok
}

// without returns the entries of a that b lacks, each as often as it lacks it.
func without(a, b []any) []any {
	count := map[string]int{}
	id := func(v any) string { return fmt.Sprintf("%T:%v", v, v) }
	for _, v := range b {
		count[id(v)]++
	}
	var rest []any
	for _, v := range a {
		if count[id(v)]--; count[id(v)] < 0 {
			rest = append(rest, v)
		}
	}
	return rest
}

// positions compares two lists entry by entry, without the first and last ones
// that they share.
func (d *fieldDiffer) positions(path steps, a, b []any) {
	head := 0
	for head < min(len(a), len(b)) && reflect.DeepEqual(a[head], b[head]) {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && reflect.DeepEqual(a[len(a)-1-tail], b[len(b)-1-tail]) {
		tail++
	}
	for i := head; i < max(len(a), len(b))-tail; i++ {
		next := path.with(step{key: strconv.Itoa(i), entry: true})
		switch inA, inB := i < len(a)-tail, i < len(b)-tail; {
		case inA && inB:
			d.compare(next, a[i], b[i])
		case inA:
			d.whole(next, FieldRemoved, a[i])
		default:
			d.whole(next, FieldAdded, b[i])
		}
	}
}

// sortFields orders fields by path.
func sortFields(fields []Field) {
	slices.SortStableFunc(fields, func(a, b Field) int { return cmp.Compare(a.Path, b.Path) })
}
