package helm

import (
	"fmt"
	"reflect"
	"strings"
	"text/template"
)

// late are the functions of a rendering: those that execute templates, with t and calls as
// in the engine; those whose result has no bound, which count it; and those whose result
// nobody can know. The functions of all are what they call.
func (r *run) late(all template.FuncMap, t *template.Template, calls map[string]int) template.FuncMap {
	late := r.unknown(all)
	late["include"] = r.include(t, calls)
	late["tpl"] = r.tpl(t, calls)
	for name, l := range limits() {
		late[name] = r.bounded(all[name], l)
	}
	// The same without reflection, for those that charts call most.
	late["printf"] = func(format string, v ...any) (string, error) {
		return r.text(v, func(v ...any) string { return fmt.Sprintf(format, v...) })
	}
	late["toYaml"] = func(v any) (string, error) {
		return r.text([]any{v}, func(...any) string { return toYAML(v) })
	}
	if quote, ok := all["quote"].(func(...any) string); ok {
		late["quote"] = func(v ...any) (string, error) { return r.text(v, quote) }
	}
	indent := func(text string, spaces int) (string, error) {
		if spaces < 0 {
			return "", fmt.Errorf("a negative number of spaces")
		}
		if err := r.spend(len(text) + product(spaces, 1+strings.Count(text, "\n"))); err != nil {
			return "", err
		}
		pad := strings.Repeat(" ", spaces)
		return pad + strings.ReplaceAll(text, "\n", "\n"+pad), nil
	}
	late["indent"] = func(spaces int, text string) (string, error) { return indent(text, spaces) }
	late["nindent"] = func(spaces int, text string) (string, error) {
		text, err := indent(text, spaces)
		return "\n" + text, err
	}
	return late
}

// text makes a text of values that were weighed.
func (r *run) text(v []any, write func(...any) string) (string, error) {
	if err := r.weigh(v...); err != nil {
		return "", err
	}
	text := write(v...)
	return text, r.spend(len(text))
}

// include is the engine's includeFun.
func (r *run) include(t *template.Template, calls map[string]int) func(string, any) (string, error) {
	const recursions = 1000
	return func(name string, data any) (string, error) {
		if calls[name] > recursions {
			return "", fmt.Errorf("rendering template has a nested reference name: %s: unable to execute template", name)
		}
		if _, err := r.enter(); err != nil {
			return "", err
		}
		calls[name]++
		text := writer{run: r}
		err := t.ExecuteTemplate(&text, name, data)
		calls[name]--
		r.leave()
		return text.String(), err
	}
}

// tpl is the engine's tplFun.
func (r *run) tpl(parent *template.Template, calls map[string]int) func(string, any) (string, error) {
	return func(text string, data any) (string, error) {
		if _, err := r.enter(); err != nil {
			return "", err
		}
		defer r.leave()
		if err := r.spend(len(text)); err != nil {
			return "", err
		}
		if !strings.Contains(text, "{{") {
			// Nothing to execute, and nothing that the parser could refuse.
			return strings.ReplaceAll(text, "<no value>", ""), nil
		}
		t, err := parent.Clone()
		if err != nil {
			return "", fmt.Errorf("cannot clone template: %w", err)
		}
		t.Option("missingkey=zero")
		t.Funcs(template.FuncMap{"include": r.include(t, calls), "tpl": r.tpl(t, calls)})
		t = t.New(parent.Name())
		if err := r.set.add(t, parent.Name(), text); err != nil {
			return "", fmt.Errorf("cannot parse template %q: %w", text, err)
		}
		made := writer{run: r}
		if err := t.Execute(&made, data); err != nil {
			return "", fmt.Errorf("error during tpl function execution for %q: %w", text, err)
		}
		return strings.ReplaceAll(made.String(), "<no value>", ""), nil
	}
}

// limit is how a function is bounded.
type limit struct {
	parts bool                      // it goes through all parts of its arguments
	cost  func([]reflect.Value) int // what it makes, or takes, at most, in bytes; nil: no more than the arguments
}

// limits are the functions that may make far more than they are given, or that go through
// all parts of a value: formatting an error is enough for that.
func limits() map[string]limit {
	length := func(v reflect.Value) int {
		if v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		switch v.Kind() {
		case reflect.String, reflect.Slice, reflect.Map, reflect.Array:
			return v.Len()
		}
		return 0
	}
	const element = 8                    // bytes of a list for each of its elements, at least
	all := func(v []reflect.Value) int { // the parts are shared: only their number counts
		total := 0
		for _, one := range v {
			if total += length(one); one.Kind() == reflect.Slice && one.Type().Elem().Kind() == reflect.Interface {
				for i := range one.Len() { // of a variadic function
					total += length(one.Index(i))
				}
			}
		}
		return total * element
	}
	steps := func(start, stop, step int) int {
		if step == 0 || start > stop != (step < 0) {
			return 0
		}
		distance := uint(stop) - uint(start)
		if step < 0 {
			distance, step = -distance, -step
		}
		return int(min(distance/uint(max(step, 1)), maxOne+1)) * element
	}
	number := func(v reflect.Value) int { return int(v.Int()) }
	limits := map[string]limit{}
	for name, cost := range map[string]func([]reflect.Value) int{
		"repeat": func(v []reflect.Value) int { return product(number(v[0]), v[1].Len()) },
		"replace": func(v []reflect.Value) int {
			return v[2].Len() + product(strings.Count(v[2].String(), v[0].String()), v[1].Len())
		},
		"wrap":      func(v []reflect.Value) int { return 2 * v[1].Len() },
		"wrapWith":  func(v []reflect.Value) int { return product(v[2].Len(), v[1].Len()) },
		"until":     func(v []reflect.Value) int { return max(steps(0, number(v[0]), 1), steps(0, number(v[0]), -1)) },
		"untilStep": func(v []reflect.Value) int { return steps(number(v[0]), number(v[1]), number(v[2])) },
		"seq": func(v []reflect.Value) int {
			p, _ := v[0].Interface().([]int)
			switch len(p) {
			case 1:
				return max(steps(0, p[0], 1), steps(0, p[0], -1))
			case 2:
				return max(steps(p[0], p[1], 1), steps(p[0], p[1], -1))
			case 3:
				return steps(p[0], p[2], p[1])
			}
			return 0
		},
	} {
		limits[name] = limit{cost: cost}
	}
	for name, cost := range map[string]func([]reflect.Value) int{
		"join": func(v []reflect.Value) int { return product(length(v[1]), v[0].Len()) },
		// Each element is compared with each other.
		"uniq":        func(v []reflect.Value) int { return product(length(v[0]), length(v[0])) },
		"mustUniq":    func(v []reflect.Value) int { return product(length(v[0]), length(v[0])) },
		"without":     func(v []reflect.Value) int { return product(length(v[0]), length(v[1])) },
		"mustWithout": func(v []reflect.Value) int { return product(length(v[0]), length(v[1])) },
	} {
		limits[name] = limit{parts: true, cost: cost}
	}
	for _, name := range []string{"regexReplaceAll", "mustRegexReplaceAll", "regexReplaceAllLiteral", "mustRegexReplaceAllLiteral"} {
		// At most a match for each byte.
		limits[name] = limit{cost: func(v []reflect.Value) int { return product(1+v[1].Len(), 1+v[2].Len()) }}
	}
	for _, name := range []string{
		"append", "push", "mustAppend", "mustPush", "prepend", "mustPrepend", "concat", "chunk", "mustChunk",
		"split", "splitList", "regexSplit", "mustRegexSplit", "regexFindAll", "mustRegexFindAll",
		"b64enc", "b32enc", "regexQuoteMeta", "snakecase", "kebabcase", "fromYaml", "fromYamlArray", "fromJson", "fromJsonArray", "fromToml",
	} {
		limits[name] = limit{cost: all}
	}
	for _, name := range []string{
		"mustToYaml", "toYamlPretty", "toJson", "mustToJson", "toPrettyJson", "mustToPrettyJson", "toRawJson", "mustToRawJson",
		"toToml", "mustToToml", "toString", "toStrings", "quote", "squote", "cat", "plural", "print", "println", "html", "js", "urlquery",
		"deepCopy", "mustDeepCopy", "merge", "mergeOverwrite", "mustMerge", "mustMergeOverwrite", "deepEqual",
		"has", "mustHas", "sortAlpha", "compact", "mustCompact",
		"int", "int64", "float64", "toDecimal", "add1", "add", "sub", "div", "mod", "mul", "add1f", "addf", "subf", "divf", "mulf",
		"biggest", "max", "min", "maxf", "minf", "ceil", "floor", "round", "duration", "durationRound", "dateModify", "mustDateModify",
	} {
		limits[name] = limit{parts: true}
	}
	return limits
}

// product is a*b, at most a little more than maxOne.
func product(a, b int) int {
	if a <= 0 || b <= 0 {
		return 0
	}
	if a > maxOne || b > maxOne {
		return maxOne + 1
	}
	return a * b
}

// bounded returns f with its limit.
func (r *run) bounded(f any, l limit) any {
	function := reflect.ValueOf(f)
	of := function.Type()
	fails := of.NumOut() == 2
	in := make([]reflect.Type, of.NumIn())
	for i := range in {
		in[i] = of.In(i)
	}
	failure := reflect.TypeFor[error]()
	bounded := reflect.FuncOf(in, []reflect.Type{of.Out(0), failure}, of.IsVariadic())
	return reflect.MakeFunc(bounded, func(args []reflect.Value) []reflect.Value {
		refuse := func(err error) []reflect.Value {
			return []reflect.Value{reflect.Zero(of.Out(0)), reflect.ValueOf(&err).Elem()}
		}
		if l.cost != nil {
			if err := r.spend(l.cost(args)); err != nil {
				return refuse(err)
			}
		}
		if l.parts {
			for _, a := range args {
				if err := r.weigh(a.Interface()); err != nil {
					return refuse(err)
				}
			}
		}
		var results []reflect.Value
		if of.IsVariadic() {
			results = function.CallSlice(args)
		} else {
			results = function.Call(args)
		}
		if results[0].Kind() == reflect.String {
			if err := r.spend(results[0].Len()); err != nil {
				return refuse(err)
			}
		}
		if !fails {
			results = append(results, reflect.Zero(failure))
		}
		return results
	}).Interface()
}
