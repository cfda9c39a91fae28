package helm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"

	"helm.sh/helm/v4/pkg/chart/common"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/engine"
)

// templates are the parsed templates of a chart. They depend on which of its subcharts are
// enabled, and under which names.
type templates struct {
	budget budget // of each rendering
	mu     sync.Mutex
	sets   map[string]*set
}

func newTemplates() *templates {
	return &templates{budget: budget{maxBytes, maxTicks, maxDepth}, sets: map[string]*set{}}
}

// set is the templates of one choice of subcharts.
type set struct {
	once    sync.Once
	err     error
	base    *template.Template // never executed: cloned for each rendering
	all     template.FuncMap
	strings map[string]bool // functions that return a string, and so nothing that could be endless
	names   []string        // of the files to execute, in Helm's order
	parses  map[string]any  // names of all functions, for the parser
	charts  map[string]any  // Helm's .Files by the full path of a chart
}

// maxSets bounds the choices that are kept; a fleet uses one or two of a chart.
const maxSets = 64

// get returns the parsed templates of a chart whose dependencies are processed.
func (t *templates) get(c *v2.Chart) (*set, error) {
	key := shape(c)
	t.mu.Lock()
	s, ok := t.sets[key]
	if !ok {
		if len(t.sets) >= maxSets {
			clear(t.sets)
		}
		s = &set{}
		t.sets[key] = s
	}
	t.mu.Unlock()
	s.once.Do(func() { s.err = s.parse(c) })
	return s, s.err
}

// shape tells apart the choices of subcharts. The chart's own version is no part of it,
// because With may change it.
func shape(c *v2.Chart) string {
	var key strings.Builder
	for _, s := range c.Dependencies() {
		fmt.Fprintf(&key, "%q %q (%s)", s.Name(), s.Metadata.Version, shape(s))
	}
	return key.String()
}

// visit calls f for each chart of a tree, parents first.
func visit(c *v2.Chart, f func(*v2.Chart)) {
	f(c)
	for _, s := range c.Dependencies() {
		visit(s, f)
	}
}

// parse parses what engine.Engine.render does, in its order.
func (s *set) parse(c *v2.Chart) error {
	texts := map[string]string{}
	s.charts = map[string]any{}
	var err error
	visit(c, func(c *v2.Chart) {
		a := accessor(c)
		full := a.ChartFullPath()
		for _, f := range a.Templates() {
			if f == nil || a.IsLibraryChart() && !strings.HasPrefix(path.Base(f.Name), "_") {
				continue
			}
			texts[path.Join(full, f.Name)] = string(f.Data)
		}
		if files, filesErr := helmFiles(a.Files()); filesErr != nil {
			err = filesErr
		} else {
			s.charts[full] = files
		}
	})
	if err != nil {
		return err
	}
	names := slices.SortedFunc(maps.Keys(texts), func(a, b string) int {
		// Helm: deeper paths first, then backwards. A later definition replaces an earlier one.
		if d := strings.Count(b, "/") - strings.Count(a, "/"); d != 0 {
			return d
		}
		return strings.Compare(b, a)
	})

	s.all = functions()
	late := (*run)(nil).late(s.all, nil, nil)
	s.strings = map[string]bool{}
	s.parses = map[string]any{}
	for name, f := range s.all {
		if bound, ok := late[name]; ok {
			f = bound
		}
		s.parses[name] = f
		s.strings[name] = returnsText(f)
	}
	for name, text := range builtins() {
		s.parses[name] = true
		s.strings[name] = text
	}
	s.base = template.New("gotpl").Option("missingkey=zero").Funcs(s.all).Funcs(guards(nil))
	for _, name := range names {
		if err := s.add(s.base.New(name), name, texts[name]); err != nil {
			return &Error{Kind: BadTemplate, File: templateFile(err), Line: templateLine(err), Message: templateMessage(err)}
		}
		if !strings.HasPrefix(path.Base(name), "_") {
			s.names = append(s.names, name)
		}
	}
	return nil
}

// add parses a text as template.Parse does, and has it guarded.
func (s *set) add(t *template.Template, name, text string) error {
	trees, err := parse.Parse(name, text, "", "", s.parses)
	if err != nil {
		return err
	}
	for name, tree := range trees {
		s.guard(tree)
		if _, err := t.AddParseTree(name, tree); err != nil {
			return err
		}
	}
	return nil
}

// helmFiles returns Helm's own .Files object: its type is private to the engine, which
// hands it to a function of ours.
func helmFiles(files []*common.File) (any, error) {
	var object any
	capture := engine.Engine{CustomTemplateFuncs: template.FuncMap{"capture": func(v any) string { object = v; return "" }}}
	c := &v2.Chart{
		Metadata:  &v2.Metadata{Name: "files"},
		Files:     files,
		Templates: []*common.File{{Name: "templates/files", Data: []byte("{{ capture .Files }}")}},
	}
	if _, err := capture.Render(c, common.Values{"Values": map[string]any{}}); err != nil {
		return nil, fmt.Errorf("reading the chart's files: %w", err)
	}
	return object, nil
}

// execute runs all templates with the values that Helm's ToRenderValues made.
func (t *templates) execute(ctx context.Context, c *v2.Chart, values common.Values) (*Rendered, error) {
	s, err := t.get(c)
	if err != nil {
		return nil, err
	}
	scopes := map[string]map[string]any{}
	s.scope(c, values, scopes)
	r := &run{ctx: ctx, set: s, budget: t.budget, seen: map[string]bool{}}
	root, err := s.base.Clone()
	if err != nil {
		return nil, &Error{Kind: BadTemplate, Message: oneLine(err.Error())}
	}
	root.Option("missingkey=zero").Funcs(guards(r)).Funcs(r.late(s.all, root, map[string]int{}))

	rendered := &Rendered{}
	unsure := map[string]bool{}
	for _, name := range s.names {
		scope, full := s.scopeOf(scopes, name)
		scope["Template"] = common.Values{"Name": name, "BasePath": path.Join(full, "templates")}
		clear(r.seen)
		var text writer
		text.run = r
		if err := root.ExecuteTemplate(&text, name, scope); err != nil {
			if ctxErr := ctx.Err(); ctxErr != nil && !errors.Is(ctxErr, context.DeadlineExceeded) {
				return nil, ctxErr
			}
			return nil, failure(err)
		}
		if strings.HasSuffix(name, "NOTES.txt") {
			continue // Helm ignores its text, but not that it fails
		}
		content := strings.ReplaceAll(text.String(), "<no value>", "")
		if strings.TrimSpace(content) == "" {
			continue
		}
		rendered.Files = append(rendered.Files, File{Path: name, Text: content, Unsure: slices.Sorted(maps.Keys(r.seen))})
		maps.Copy(unsure, r.seen)
	}
	slices.SortFunc(rendered.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	rendered.Unsure = slices.Sorted(maps.Keys(unsure))
	return rendered, nil
}

// scope makes the values that the templates of each chart see, as the engine's recAllTpls
// does, by the full path of the chart.
func (s *set) scope(c *v2.Chart, values common.Values, scopes map[string]map[string]any) map[string]any {
	a := accessor(c)
	metadata := a.MetadataAsMap()
	metadata["IsRoot"] = a.IsRoot()
	subcharts := map[string]any{}
	scope := map[string]any{
		"Chart":        metadata,
		"Files":        s.charts[a.ChartFullPath()],
		"Release":      values["Release"],
		"Capabilities": values["Capabilities"],
		"Values":       make(common.Values),
		"Subcharts":    subcharts,
	}
	if a.IsRoot() {
		scope["Values"] = values["Values"]
	} else if own, err := values.Table("Values." + a.Name()); err == nil {
		scope["Values"] = own
	}
	for _, d := range c.Dependencies() {
		subcharts[d.Name()] = s.scope(d, scope, scopes)
	}
	scopes[a.ChartFullPath()] = scope
	return scope
}

// scopeOf returns the values of the chart that a template belongs to, and its full path.
func (s *set) scopeOf(scopes map[string]map[string]any, name string) (map[string]any, string) {
	for full := path.Dir(name); full != "."; full = path.Dir(full) {
		if scope, ok := scopes[full]; ok {
			return scope, full
		}
	}
	return map[string]any{}, ""
}

// failure makes an Error of what text/template says. The place is the innermost one in a
// file of the chart: an include wraps the error of what it includes.
func failure(err error) error {
	var limit limitError
	if errors.As(err, &limit) {
		return &Error{Kind: BadTemplate, File: templateFile(err), Line: templateLine(err), Message: string(limit)}
	}
	var said saidError
	if errors.As(err, &said) {
		return &Error{Kind: BadTemplate, File: templateFile(err), Line: templateLine(err), Message: oneLine(said.Error())}
	}
	return &Error{Kind: BadTemplate, File: templateFile(err), Line: templateLine(err), Message: templateMessage(err)}
}

// place finds the outermost "template: file:line" of a message.
func place(err error) (file string, line int, rest string) {
	text, ok := strings.CutPrefix(err.Error(), "template: ")
	if !ok {
		return "", 0, err.Error()
	}
	at, rest, ok := strings.Cut(text, ": ")
	if !ok {
		return "", 0, text
	}
	file, position, ok := strings.Cut(at, ":")
	if !ok {
		return at, 0, rest
	}
	number, _, _ := strings.Cut(position, ":")
	if n, err := strconv.Atoi(number); err == nil {
		line = n
	}
	return file, line, rest
}

func templateFile(err error) string {
	file, _, _ := place(err)
	return file
}

func templateLine(err error) int {
	_, line, _ := place(err)
	return line
}

// templateMessage returns the innermost cause, with what was executed.
func templateMessage(err error) string {
	_, _, rest := place(err)
	if at := strings.LastIndex(rest, "template: "); at > 0 {
		if _, _, inner := place(errors.New(rest[at:])); inner != "" {
			where, _, _ := strings.Cut(strings.TrimPrefix(rest[at:], "template: "), ": ")
			return oneLine(shorten(where + ": " + inner))
		}
	}
	return oneLine(shorten(rest))
}

// shorten keeps a message readable: tpl quotes the whole text that it was given.
func shorten(message string) string {
	const longest = 600
	if len(message) <= longest {
		return message
	}
	return strings.ToValidUTF8(message[:longest/2], "") + " ... " + strings.ToValidUTF8(message[len(message)-longest/2:], "")
}
