package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"archipel/internal/chart"
	"archipel/internal/finding"
	"archipel/internal/fleet"
	"archipel/internal/policy"
	"archipel/internal/render"
	"archipel/internal/schema"
)

// Renderer computes what Flux makes of a site; render.Renderer does.
type Renderer interface {
	Site(ctx context.Context, site *fleet.Site) (*render.Result, error)
}

// Input is what Run checks.
type Input struct {
	FS       fs.FS // the repository's root
	Fleet    *fleet.Fleet
	Policy   *policy.Policy
	Found    []finding.Finding // while Fleet and Policy were read
	Sites    []*fleet.Site     // of Fleet; nil means all
	Rules    []Rule            // that run; nil means All
	Only     []string          // ids of those of Rules that run; none means all
	Engines  []Engine          // other programs that look at the same
	Baseline *policy.Baseline  // findings that are accepted; nil when there are none
	Renderer Renderer
	Lock     *chart.Lock // for repairs; nil when there is none
	// Program runs a program in the repository's root and returns its stdout; the error is
	// ErrNoProgram when there is none of that name. nil means that no program is run.
	Program func(ctx context.Context, name string, args ...string) ([]byte, error)
}

// Engine is another program that looks at what is rendered. It says with Fleet.Skip what it
// could not look at.
type Engine interface {
	// Site is called for each site, concurrently, and keeps nothing that it does not copy.
	Site(*Site)
	// Finish is called once, after all sites. A finding whose rule is not one of Rules names
	// the engine and its check: "trivy-ksv-0017". Also has that name as Covers does. One that
	// a rule has found too is not reported twice.
	Finish(context.Context, *Fleet) ([]finding.Finding, error)
}

// Report is what Run found, and what it looked at.
type Report struct {
	Findings []finding.Finding // sorted; one for the same problem at several sites
	Repairs  []Repair          // of these findings that can be repaired safely, sorted by path
	Skipped  []Skip            // sorted by code and reason
	Ignored  int               // findings that the policy ignores
	Rules    []Rule            // that were run, in the order of All
	Sites    int
	Files    int // YAML files
	Objects  int // rendered, of all sites
}

// Skip is a reason for which something was not checked.
type Skip struct {
	Code   string // noun-problem; never changes
	Reason string // one line: what is missing, and how to get it
	Count  int
}

// UnknownRuleError is a rule that there is none of.
type UnknownRuleError struct{ ID string }

func (e *UnknownRuleError) Error() string { return fmt.Sprintf("unknown rule %q", e.ID) }

// Run holds a repository to the rules. It keeps the render of a site only while that site's
// rules run, so that memory does not grow with the fleet. The error says that it could not
// finish: the context has ended, or files vanished.
func Run(ctx context.Context, in Input) (*Report, error) {
	rules, err := choose(in)
	if err != nil {
		return nil, err
	}
	f := &Fleet{
		FS: in.FS, Fleet: in.Fleet, Sites: in.Sites, Policy: in.Policy, Schemas: schema.New(),
		shared: &shared{ctx: ctx, program: in.Program, skipped: map[Skip]int{}},
	}
	if f.Sites == nil {
		f.Sites = in.Fleet.Sites
	}
	f.shared.broken = slices.ContainsFunc(in.Found, func(found finding.Finding) bool {
		return found.Severity == finding.Error && strings.HasPrefix(found.Position.File, inventories)
	})
	e := &engine{fleet: f, rules: rules, renderer: in.Renderer, lock: in.Lock, engines: in.Engines, baseline: in.Baseline}
	e.add("", in.Found)
	e.add("", f.walk())
	files := f.yamlFiles()

	asked := ctx
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	f.shared.ctx = ctx
	for _, site := range f.Sites { // first, because they take longest
		group.Go(func() error { return e.site(ctx, site) })
	}
	const batch = 32 // files are many and small
	for names := range slices.Chunk(files, batch) {
		group.Go(func() error {
			for _, name := range names {
				e.file(name)
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, rule := range rules {
		if rule.Fleet != nil {
			e.add(rule.ID, rule.Fleet(f))
		}
	}
	if err := ctx.Err(); err != nil && !errors.Is(err, context.Canceled) {
		return nil, err
	}
	if err := e.finish(asked); err != nil {
		return nil, err
	}
	report := &Report{Rules: rules, Sites: len(f.Sites), Files: len(files), Objects: e.objects}
	report.Findings, report.Ignored = e.settle(len(in.Only) > 0)
	report.Repairs = e.repairs(report.Findings)
	for skip, count := range f.shared.skipped {
		skip.Count = count
		report.Skipped = append(report.Skipped, skip)
	}
	slices.SortFunc(report.Skipped, func(a, b Skip) int {
		return cmp.Or(strings.Compare(a.Code, b.Code), strings.Compare(a.Reason, b.Reason))
	})
	return report, nil
}

// choose returns the rules that run.
func choose(in Input) ([]Rule, error) {
	all := in.Rules
	if all == nil {
		all = All()
	}
	if len(in.Only) == 0 {
		return all, nil
	}
	for _, id := range in.Only {
		if !slices.ContainsFunc(all, func(r Rule) bool { return r.ID == id }) {
			return nil, &UnknownRuleError{id}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(r Rule) bool { return !slices.Contains(in.Only, r.ID) }), nil
}

// engine is one run.
type engine struct {
	fleet    *Fleet
	rules    []Rule
	renderer Renderer
	lock     *chart.Lock
	engines  []Engine
	baseline *policy.Baseline

	mu       sync.Mutex
	findings []finding.Finding
	edits    []edit
	objects  int
}

// add notes findings; rule is the one that they are of when they do not say so.
func (e *engine) add(rule string, findings []finding.Finding) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range findings {
		f.Rule = cmp.Or(f.Rule, rule)
		e.findings = append(e.findings, f)
	}
}

// site runs the rules of one site.
func (e *engine) site(ctx context.Context, site *fleet.Site) error {
	if !e.fleet.HasDir(clusters + "/" + site.Name) {
		return nil // which has its own finding
	}
	result, err := e.renderer.Site(ctx, site)
	if err != nil {
		return fmt.Errorf("rendering %s: %w", site.Name, err)
	}
	s := &Site{Fleet: e.fleet, Site: site, Render: result}
	own := func(findings []finding.Finding) []finding.Finding {
		for i := range findings {
			if len(findings[i].Sites) == 0 {
				findings[i].Sites = []string{site.Name}
			}
		}
		return findings
	}
	e.add("", own(slices.Clone(result.Findings)))
	for _, skip := range result.Skipped {
		e.fleet.Skip(skip.Code, skip.Reason)
	}
	e.load(s)
	for _, rule := range e.rules {
		if rule.Site != nil {
			e.add(rule.ID, own(rule.Site(s)))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for _, other := range e.engines {
		other.Site(s)
	}
	e.pins(s)
	e.mu.Lock()
	e.objects += len(result.Objects)
	e.mu.Unlock()
	return nil
}

// finish asks the other engines, and notes what no rule has found.
func (e *engine) finish(ctx context.Context) error {
	if len(e.engines) == 0 {
		return nil
	}
	covered := e.covered()
	for _, other := range e.engines {
		findings, err := other.Finish(ctx, e.fleet)
		if err != nil {
			return err
		}
		for _, f := range findings {
			if !e.merge(covered, f) {
				e.add("", []finding.Finding{f})
			}
		}
	}
	return nil
}

// load finds the schemas of what the site runs.
func (e *engine) load(s *Site) {
	var definitions []map[string]any
	for _, o := range s.Render.Objects {
		if o.GetKind() == "CustomResourceDefinition" && !o.Origin.Opaque {
			definitions = append(definitions, o.Object)
		}
	}
	s.Schema, s.SchemaProblems = e.fleet.Schemas.Set(s.Site.Facts.K3sVersion, definitions)
}

// file runs the rules of one YAML file.
func (e *engine) file(name string) {
	p := e.fleet.parse(name)
	e.add("", p.findings)
	if p.yaml == nil {
		return
	}
	f := &File{Fleet: e.fleet, YAML: p.yaml, Data: p.data}
	for _, rule := range e.rules {
		if rule.File != nil {
			e.add(rule.ID, rule.File(f))
		}
	}
}
