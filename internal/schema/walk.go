package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"archipel/internal/fleet"
)

// Bounds of one verdict: objects come from files of anybody.
const (
	maxDepth    = 100
	maxProblems = 50
)

// walk goes through one object.
type walk struct {
	types      map[string]*lazy // of the minor: metadata is the same for all kinds
	definition bool             // a definition's kind: nulls and empty texts count
	ownStatus  bool             // status is a subresource: what an apply says there is dropped
	secret     bool             // no value may be shown
	dropped    bool             // inside such a status: only fields and types count
	path       []step
	problems   []Problem
}

// step is a field's name, or an index when the name is empty and index is not negative.
type step struct {
	name  string
	index int
}

func (w *walk) push(name string) { w.path = append(w.path, step{name, -1}) }
func (w *walk) pushIndex(i int)  { w.path = append(w.path, step{"", i}) }
func (w *walk) pop()             { w.path = w.path[:len(w.path)-1] }

// add notes a problem at the place where the walk is.
func (w *walk) add(kind Kind, fix, format string, args ...any) {
	if len(w.problems) >= maxProblems {
		return
	}
	path := make([]string, 0, len(w.path))
	for _, s := range w.path {
		if s.index >= 0 {
			path = append(path, strconv.Itoa(s.index))
		} else {
			path = append(path, s.name)
		}
	}
	message := fmt.Sprintf(format, args...)
	w.problems = append(w.problems, Problem{Kind: kind, Path: path, Message: oneLine(message), Fix: oneLine(fix)})
}

// here is the place as people write it, for example spec.ports[0].name.
func (w *walk) here() string {
	var b strings.Builder
	for i, s := range w.path {
		switch {
		case s.index >= 0:
			fmt.Fprintf(&b, "[%d]", s.index)
		case strings.ContainsAny(s.name, "./[] "):
			fmt.Fprintf(&b, "[%s]", s.name)
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.name)
		}
	}
	if b.Len() == 0 {
		return "the object"
	}
	return b.String()
}

// object checks a whole object. A definition's schema says little of metadata, and need
// not name the other two.
func (w *walk) object(n *node, object map[string]any, apiVersion, kind string, scope Scope) {
	if w.definition {
		w.metadata(object)
	}
	w.identity(object, apiVersion, kind, scope)
	w.value(n, object, embeddedFields()...)
}

// value checks one value. Fields that are named may be there without the schema's leave.
func (w *walk) value(n *node, value any, implied ...string) {
	if len(w.path) > maxDepth {
		w.add(InvalidValue, "", "%s lies deeper than %d fields", w.here(), maxDepth)
		return
	}
	if s, ok := value.(string); ok && strings.HasPrefix(s, "ENC[AES256_GCM,") {
		return // encrypted: nobody here knows what it is
	}
	for n.ref != nil {
		if n.check != nil && !w.dropped {
			n.check(w, value)
		}
		n = n.ref.get()
	}
	if value == nil {
		if w.definition && !n.nullable && n.types != 0 {
			w.wrong(value, n.types.String())
		}
		return
	}
	before := len(w.problems)
	switch v := value.(type) {
	case map[string]any:
		if w.typed(n, value, objectType) {
			w.fields(n, v, implied)
		}
	case []any:
		if w.typed(n, value, arrayType) {
			w.list(n, v)
		}
	case string:
		if w.typed(n, value, stringType) {
			w.text(n, v)
		}
	case bool:
		w.typed(n, value, booleanType)
	default:
		number, whole, ok := numberOf(value)
		if !ok {
			w.wrong(value, n.types.String())
			return
		}
		is := numberType
		if whole {
			is |= integerType
		}
		if n.format == "quantity" || w.typed(n, value, is) {
			w.number(n, number, whole)
		}
	}
	if len(w.problems) > before {
		return // what else is wrong follows from it
	}
	if len(n.enum) > 0 && !w.dropped {
		w.choice(n, value)
	}
	w.junctions(n, value)
	if n.check != nil && !w.dropped {
		n.check(w, value)
	}
}

// typed notes a value of a type that the schema does not have.
func (w *walk) typed(n *node, value any, is types) bool {
	if n.types == 0 {
		switch n.format {
		case "int-or-string":
			if is&(integerType|stringType) == 0 {
				w.wrong(value, "an integer or a string")
				return false
			}
		case "quantity":
			if is&(numberType|stringType) == 0 {
				w.wrong(value, "a quantity, for example 100m or 1Gi")
				return false
			}
		}
		return true
	}
	if n.types&is == 0 && (n.types&numberType == 0 || is&integerType == 0) {
		w.wrong(value, n.types.String())
		return false
	}
	return true
}

func (w *walk) wrong(value any, want string) {
	fix := ""
	if want == "a string" {
		if _, _, ok := numberOf(value); ok {
			fix = "write it in quotes"
		} else if _, ok := value.(bool); ok {
			fix = "write it in quotes"
		}
	} else if _, ok := value.(string); ok && (want == "an integer" || want == "a boolean" || want == "a number") {
		fix = "write it without quotes"
	}
	w.add(WrongType, fix, "%s is %s, must be %s", w.here(), typeName(value), want)
}

// fields checks the fields of an object.
func (w *walk) fields(n *node, object map[string]any, implied []string) {
	for _, name := range sortedKeys(object) {
		value := object[name]
		field := n.fields[name]
		if field == nil {
			field = n.extra
		}
		w.push(name)
		switch {
		case field == nil && (n.embedded && slices.Contains(embeddedFields(), name) || slices.Contains(implied, name)):
		case field == nil && !n.open && !n.alternative:
			w.unknownField(n, name)
		case field == nil:
		case value == nil && w.absent(field):
		default:
			status := name == "status" && len(w.path) == 1 && (w.ownStatus || !w.definition)
			w.dropped = w.dropped || status
			w.value(field, value)
			if status {
				w.dropped = false
			}
		}
		w.pop()
	}
	for _, name := range n.required {
		if w.dropped {
			break
		}
		field := n.fields[name]
		value, ok := object[name]
		switch {
		case ok && (value != nil || field != nil && !w.absent(field)):
			if !w.definition && value == "" {
				w.push(name)
				w.add(MissingRequired, "", "%s is empty, must not be", w.here())
				w.pop()
			}
		case w.definition && field != nil && field.standard != nil:
		default:
			w.add(MissingRequired, "", "%s lacks the required field %s", w.here(), name)
		}
	}
	w.between(len(object), "fields", n.limits, func(l *limits) (*int64, *int64) { return l.minProperties, l.maxProperties })
	if n.embedded {
		w.embedded(object)
	}
}

// absent says whether a null is no value at all: for built-in kinds always, for those of
// definitions where a default takes its place. Elsewhere server-side apply refuses it.
func (w *walk) absent(field *node) bool {
	field = resolved(field)
	return !w.definition || !field.nullable && field.standard != nil
}

func embeddedFields() []string { return []string{"apiVersion", "kind", "metadata"} }

func (w *walk) embedded(object map[string]any) {
	for _, name := range []string{"apiVersion", "kind"} {
		if text(object[name]) == "" {
			w.add(MissingRequired, "", "%s is an object of its own and lacks %s", w.here(), name)
		}
	}
	w.metadata(object)
}

// metadata checks what is the same for all kinds, also for those of definitions.
func (w *walk) metadata(object map[string]any) {
	definition := w.definition
	w.definition = false
	w.push("metadata")
	w.value(&node{ref: w.types[objectMeta]}, object["metadata"])
	w.pop()
	w.definition = definition
}

func (w *walk) unknownField(n *node, name string) {
	fix := "remove it"
	if near, ok := fleet.Nearest(name, sortedKeys(n.fields)); ok {
		fix = "write " + near
	}
	w.add(UnknownField, fix, "there is no field %s", w.here())
}

// list checks the entries of a list.
func (w *walk) list(n *node, list []any) {
	if n.items != nil {
		for i, item := range list {
			w.pushIndex(i)
			if item == nil && !w.definition && len(resolved(n.items).required) > 0 {
				w.wrong(nil, "an object")
			} else {
				w.value(n.items, item)
			}
			w.pop()
		}
	}
	w.between(len(list), "entries", n.limits, func(l *limits) (*int64, *int64) { return l.minItems, l.maxItems })
	if (n.set || len(n.keys) > 0) && len(list) > 0 {
		w.duplicates(n, list)
	}
}

// resolved is a schema without references before it.
func resolved(n *node) *node {
	for n.ref != nil {
		n = n.ref.get()
	}
	return n
}

// duplicates notes entries with the same key: server-side apply, with which Flux and Helm
// work, refuses them, and for definitions so does validation.
func (w *walk) duplicates(n *node, list []any) {
	var item *node
	if n.items != nil {
		item = resolved(n.items)
	}
	seen := make(map[string]int, len(list))
	for i, entry := range list {
		key, complete := w.key(n, item, i, entry)
		if !complete {
			continue
		}
		if first, ok := seen[key]; ok {
			w.pushIndex(i)
			same := strings.Join(n.keys, " and ")
			if n.set {
				same = "value"
			}
			w.add(DuplicateItem, "", "%s has the same %s as entry %d", w.here(), same, first)
			w.pop()
			continue
		}
		seen[key] = i
	}
}

// key tells an entry of a list from the others.
func (w *walk) key(n, item *node, index int, entry any) (string, bool) {
	if n.set {
		return canonical(entry), true
	}
	object, ok := entry.(map[string]any)
	if !ok {
		return "", false // its type is a problem already
	}
	var b strings.Builder
	for _, name := range n.keys {
		value, ok := object[name]
		if !ok || value == nil {
			if item != nil && item.fields[name] != nil {
				value = item.fields[name].standard
			}
			if value == nil {
				if !w.definition && !w.dropped && (item == nil || !slices.Contains(item.required, name)) {
					w.pushIndex(index)
					w.add(MissingRequired, "", "%s lacks %s, which tells the entries of the list apart", w.here(), name)
					w.pop()
				}
				return "", false
			}
		}
		b.WriteString(canonical(value))
		b.WriteByte(0)
	}
	return b.String(), true
}

// junctions checks what is composed of other schemas.
func (w *walk) junctions(n *node, value any) {
	for _, each := range n.all {
		w.value(each, value)
	}
	if len(n.some) > 0 && w.matching(n.some, value) == 0 {
		w.alternatives(n.some, value)
	}
	if len(n.one) > 0 {
		switch count := w.matching(n.one, value); {
		case count == 0:
			w.alternatives(n.one, value)
		case count > 1:
			w.add(InvalidValue, "", "%s fits %d of %d forms that exclude each other", w.here(), count, len(n.one))
		}
	}
	if n.not != nil && w.matching([]*node{n.not}, value) == 1 {
		w.add(InvalidValue, "", "%s has a form that is forbidden%s", w.here(), forbidden(n.not))
	}
}

// matching counts the schemas that a value fits.
func (w *walk) matching(nodes []*node, value any) int {
	count := 0
	for _, n := range nodes {
		if len(w.try(n, value)) == 0 {
			count++
		}
	}
	return count
}

func (w *walk) try(n *node, value any) []Problem {
	inner := *w
	inner.problems = nil
	inner.path = slices.Clone(w.path)
	inner.value(n, value)
	return inner.problems
}

// alternatives notes what keeps a value from fitting any of some schemas.
func (w *walk) alternatives(nodes []*node, value any) {
	var reasons []string
	for _, n := range nodes {
		if problems := w.try(n, value); len(problems) > 0 && !slices.Contains(reasons, problems[0].Message) {
			reasons = append(reasons, problems[0].Message)
		}
	}
	w.add(InvalidValue, "", "%s fits none of the allowed forms: %s", w.here(), strings.Join(reasons, "; or "))
}

// forbidden names the fields of the most usual form of not.
func forbidden(n *node) string {
	if len(n.required) == 0 {
		return ""
	}
	return ": with " + strings.Join(n.required, " and ")
}
