package helm

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"text/template"
	"text/template/parse"
)

// What one rendering may use. text/template has no limits of its own, and a process that
// has run out of stack or memory cannot be recovered. Real charts stay below a hundredth.
const (
	maxBytes  = 256 << 20 // text that functions and templates make, all together
	maxOne    = 8 << 20   // text that one function makes
	maxTicks  = 1_000_000 // iterations, and calls of include and tpl
	maxDepth  = 1500      // templates in templates; Helm allows 1000 of one name
	maxWeight = 1_000_000 // values in a value that is written as a whole
	maxNested = 1000      // levels of such a value
)

// The functions that guard inserts. A chart cannot call them: its parser does not know them.
const (
	tickName  = "archipel_tick"
	enterName = "archipel_enter"
	leaveName = "archipel_leave"
	shownName = "archipel_shown"
)

// budget is what is left of the limits that add up.
type budget struct{ bytes, ticks, depth int }

// limitError is a limit that was reached.
type limitError string

func (e limitError) Error() string { return string(e) }

// run is one rendering.
type run struct {
	ctx context.Context
	set *set
	budget
	seen map[string]bool // functions of the file whose result is unsure
}

// spend takes n bytes, or elements, from what is left.
func (r *run) spend(n int) error {
	if n > maxOne || n < 0 {
		return limitError(fmt.Sprintf("a function would make more than %d MiB", maxOne>>20))
	}
	if r.bytes -= n; r.bytes < 0 {
		return limitError(fmt.Sprintf("the templates make more than %d MiB of text", maxBytes>>20))
	}
	return nil
}

func (r *run) tick() (string, error) {
	if r.ticks--; r.ticks < 0 {
		return "", limitError(fmt.Sprintf("the templates take more than %d steps", maxTicks))
	}
	if r.ticks%256 == 0 && r.ctx.Err() != nil {
		return "", limitError("the templates take too long")
	}
	return "", nil
}

func (r *run) enter() (string, error) {
	if r.depth--; r.depth < 0 {
		return "", limitError(fmt.Sprintf("templates call each other more than %d deep", maxDepth))
	}
	return r.tick()
}

func (r *run) leave() string {
	r.depth++
	return ""
}

// shown passes on a value that is about to be written, unless that would not end: a value
// may contain itself, or many times the same.
func (r *run) shown(v reflect.Value) (reflect.Value, error) {
	if !v.IsValid() {
		return v, nil
	}
	switch v.Kind() {
	case reflect.Map, reflect.Slice, reflect.Interface, reflect.Pointer, reflect.Struct, reflect.Array:
		if v.CanInterface() {
			return v, r.weigh(v.Interface())
		}
	}
	return v, nil
}

// weigh takes the size of a value from what is left.
func (r *run) weigh(values ...any) error {
	weight := 0
	for _, v := range values {
		bytes, err := weigh(v, &weight, 0)
		if err != nil {
			return err
		}
		if err := r.spend(bytes); err != nil {
			return err
		}
	}
	return nil
}

// weigh returns about how many bytes a value has as text.
func weigh(v any, weight *int, depth int) (int, error) {
	if *weight++; *weight > maxWeight || depth > maxNested {
		return 0, limitError(fmt.Sprintf("a value has more than %d parts or %d levels, or contains itself", maxWeight, maxNested))
	}
	total := 0
	add := func(v any) error {
		n, err := weigh(v, weight, depth+1)
		total += n
		return err
	}
	switch v := v.(type) {
	case nil, bool, int, int64, float64:
		return 8, nil
	case string:
		return len(v), nil
	case []byte:
		return len(v), nil
	case map[string]any:
		for k, e := range v {
			total += len(k)
			if err := add(e); err != nil {
				return 0, err
			}
		}
		return total, nil
	case []any:
		for _, e := range v {
			if err := add(e); err != nil {
				return 0, err
			}
		}
		return total, nil
	}
	switch value := reflect.ValueOf(v); value.Kind() {
	case reflect.Map:
		for _, k := range value.MapKeys() {
			if k.CanInterface() {
				if err := add(k.Interface()); err != nil {
					return 0, err
				}
			}
			if e := value.MapIndex(k); e.CanInterface() {
				if err := add(e.Interface()); err != nil {
					return 0, err
				}
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range value.Len() {
			if e := value.Index(i); e.CanInterface() {
				if err := add(e.Interface()); err != nil {
					return 0, err
				}
			}
		}
	case reflect.String:
		total = value.Len()
	default:
		total = 8
	}
	return total, nil
}

// writer collects the text of one template.
type writer struct {
	strings.Builder
	run *run
}

// Write fails when the rendering makes too much text.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.run.spend(len(p)); err != nil {
		return 0, err
	}
	return w.Builder.Write(p)
}

// WriteString is for io.WriteString, which would go around Write.
func (w *writer) WriteString(s string) (int, error) {
	if err := w.run.spend(len(s)); err != nil {
		return 0, err
	}
	return w.Builder.WriteString(s)
}

// guards are the functions that guard inserts. Without a run they only have their types.
func guards(r *run) template.FuncMap {
	return template.FuncMap{tickName: r.tick, enterName: r.enter, leaveName: r.leave, shownName: r.shown}
}

// guard makes a parsed template count its iterations and its depth, and look at the values
// that it writes as a whole. It writes the same text as before.
func (s *set) guard(tree *parse.Tree) {
	if tree == nil || tree.Root == nil || parse.IsEmptyTree(tree.Root) {
		return
	}
	if s.walk(tree.Root) { // it calls templates
		tree.Root.Nodes = append(append([]parse.Node{call(tree.Root, enterName)}, tree.Root.Nodes...), call(tree.Root, leaveName))
	}
}

// walk guards a node and what it holds. It returns whether a template is called.
func (s *set) walk(node parse.Node) (calls bool) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return false
		}
		for _, child := range n.Nodes {
			calls = s.walk(child) || calls
		}
	case *parse.ActionNode:
		s.show(n.Pipe)
	case *parse.IfNode:
		calls = s.walk(n.List)
		calls = s.walk(n.ElseList) || calls
	case *parse.WithNode:
		calls = s.walk(n.List)
		calls = s.walk(n.ElseList) || calls
	case *parse.RangeNode:
		calls = s.walk(n.List)
		calls = s.walk(n.ElseList) || calls
		n.List.Nodes = append([]parse.Node{call(n, tickName)}, n.List.Nodes...)
	case *parse.TemplateNode:
		calls = true
	}
	return calls
}

// show has a pipeline that is written look at its value first, unless its last function
// returns a text.
func (s *set) show(pipe *parse.PipeNode) {
	if pipe == nil || len(pipe.Decl) > 0 || len(pipe.Cmds) == 0 {
		return
	}
	last := pipe.Cmds[len(pipe.Cmds)-1]
	switch first := last.Args[0].(type) {
	case *parse.IdentifierNode:
		if s.strings[first.Ident] {
			return
		}
	case *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
		return
	case *parse.FieldNode:
		if first.Ident[0] == "Release" || first.Ident[0] == "Chart" || first.Ident[0] == "Template" {
			return
		}
	}
	pipe.Cmds = append(pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: last.Pos,
		Args: []parse.Node{parse.NewIdentifier(shownName).SetPos(last.Pos)}})
}

// call is an action that calls one of the functions above.
func call(at parse.Node, name string) parse.Node {
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: at.Position(), Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe, Pos: at.Position(), Cmds: []*parse.CommandNode{{
			NodeType: parse.NodeCommand, Pos: at.Position(), Args: []parse.Node{parse.NewIdentifier(name).SetPos(at.Position())},
		}},
	}}
}
