package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds on what the comparison of one object may cost and show.
const (
	maxFields   = 200      // of an object
	maxDepth    = 100      // levels of nesting
	maxValue    = 2 << 10  // bytes of a value that is kept
	maxEmbedded = 64 << 10 // bytes of a text that is read as YAML
	maxLists    = 400      // entries of a list that are matched one by one
)

// fieldDiffer compares two values field by field.
type fieldDiffer struct {
	mask   masker
	fields []Field
	more   int
	noise  map[string]bool // keys of labels and annotations that only name a version or a checksum
	inPods bool            // noise of a pod template: it replaces the pods
}

// step is one element of a path: a key of a map, or an entry of a list.
type step struct {
	key   string
	entry bool // key is a merge key or an index
	root  bool // key leads into a text that is YAML itself
}

type steps []step

func (s steps) with(next step) steps { return append(s[:len(s):len(s)], next) }

// plainKey needs no quotes in a path.
var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

func (s steps) String() string {
	var text strings.Builder
	var after step
	for i, one := range s {
		inside := i == 0 || after.root
		if inside && i > 0 {
			text.WriteString(" > ")
		}
		after = one
		switch {
		case one.entry:
			text.WriteString("[" + shorten(one.key, 80) + "]")
		case !plainKey.MatchString(one.key):
			text.WriteString("[" + strconv.Quote(shorten(one.key, 120)) + "]")
		default:
			if !inside {
				text.WriteString(".")
			}
			text.WriteString(one.key)
		}
	}
	return text.String()
}

// noisy matches keys of labels and annotations that follow from other changes.
var noisy = regexp.MustCompile(`(?i)(^|[/._-])(checksum|hash|sha256|chart|chart-version)([/._-]|$)|^checksum/|^app\.kubernetes\.io/version$|^(chart|heritage)$`)

func (d *fieldDiffer) add(path steps, kind FieldKind, before, after any) {
	if n := len(path); n > 1 && !path[n-1].entry && (path[n-2].key == "labels" || path[n-2].key == "annotations") && noisy.MatchString(path[n-1].key) {
		d.noise[shorten(path[n-1].key, 120)] = true
		d.inPods = d.inPods || n > 3
		return
	}
	if len(d.fields) == maxFields {
		d.more++
		return
	}
	f := Field{Path: path.String(), Kind: kind}
	old, hidden := d.mask.value(path, before, 0)
	fresh, hiddenToo := d.mask.value(path, after, 0)
	if hidden || hiddenToo {
		f.Masked = true
	} else {
		f.Old, f.New = bounded(old), bounded(fresh)
	}
	d.fields = append(d.fields, f)
}

// bounded keeps a value small enough to be shown and sent.
func bounded(v any) any {
	if v == nil {
		return nil
	}
	if s, ok := v.(string); ok {
		return shorten(s, maxValue)
	}
	data, err := json.Marshal(v)
	if err != nil || len(data) > maxValue {
		return shorten(show(v), maxValue)
	}
	return v
}

// shorten cuts a text, and says how much there is of it.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + fmt.Sprintf("… (%d bytes)", len(s))
}

// show is a value as one line.
func show(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// compare finds how b differs from a.
func (d *fieldDiffer) compare(path steps, a, b any) {
	if len(path) > maxDepth {
		if !reflect.DeepEqual(a, b) {
			d.add(path, FieldChanged, nil, nil)
		}
		return
	}
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			d.maps(path, x, y)
			return
		}
	case []any:
		if y, ok := b.([]any); ok {
			d.lists(path, x, y)
			return
		}
	case string:
		if y, ok := b.(string); ok {
			d.texts(path, x, y)
			return
		}
	}
	if !equal(a, b) {
		d.add(path, FieldChanged, a, b)
	}
}

// equal compares scalars; a number is the same as an integer and as a float.
func equal(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	return reflect.DeepEqual(a, b)
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case int:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

func (d *fieldDiffer) maps(path steps, a, b map[string]any) {
	keys := map[string]bool{}
	for key := range a {
		keys[key] = true
	}
	for key := range b {
		keys[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		x, was := a[key]
		y, is := b[key]
		next := path.with(step{key: key})
		switch {
		case !was:
			d.whole(next, FieldAdded, y)
		case !is:
			d.whole(next, FieldRemoved, x)
		default:
			d.compare(next, x, y)
		}
	}
}

// whole reports a value that only one side has. Labels and annotations are
// reported one by one, so that each is judged on its own.
func (d *fieldDiffer) whole(path steps, kind FieldKind, v any) {
	last := path[len(path)-1]
	if m, ok := v.(map[string]any); ok && len(m) > 0 && !last.entry && (last.key == "labels" || last.key == "annotations") {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			d.whole(path.with(step{key: key}), kind, m[key])
		}
		return
	}
	if kind == FieldAdded {
		d.add(path, kind, nil, v)
	} else {
		d.add(path, kind, v, nil)
	}
}

// texts compares two texts. Those that are YAML or JSON are compared as such,
// others of several lines where they differ.
func (d *fieldDiffer) texts(path steps, a, b string) {
	if a == b {
		return
	}
	if !strings.Contains(a, "\n") && !strings.Contains(b, "\n") && !strings.HasPrefix(a, "{") {
		d.add(path, FieldChanged, a, b)
		return
	}
	if x, y := embedded(a), embedded(b); x != nil && y != nil && !d.mask.hides(path, a) && !d.mask.hides(path, b) && !reflect.DeepEqual(x, y) {
		inside := slices.Clone(path)
		inside[len(inside)-1].root = true
		d.maps(inside, x, y)
		return
	}
	line, old, fresh := differing(a, b)
	if d.mask.hides(path, a) || d.mask.hides(path, b) {
		line, old, fresh = 0, a, b
	}
	if line > 0 {
		path = path.with(step{key: fmt.Sprintf("line %d", line), entry: true})
	}
	d.add(path, FieldChanged, old, fresh)
}

// embedded reads a text as a mapping of YAML; nil when it is none.
func embedded(text string) map[string]any {
	if len(text) > maxEmbedded || !strings.Contains(text, ":") {
		return nil
	}
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	if _, err := json.Marshal(m); err != nil {
		return nil // keys that are no text
	}
	return m
}

// differing cuts the first and last lines that two texts share, and returns
// the number of the first that differs.
func differing(a, b string) (line int, old, fresh string) {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	head := 0
	for head < min(len(x), len(y)) && x[head] == y[head] {
		head++
	}
	tail := 0
	for tail < min(len(x), len(y))-head && x[len(x)-1-tail] == y[len(y)-1-tail] {
		tail++
	}
	return head + 1, strings.Join(x[head:len(x)-tail], "\n"), strings.Join(y[head:len(y)-tail], "\n")
}
