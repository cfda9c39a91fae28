package cli

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"

	"archipel/internal/diff"
	"archipel/internal/finding"
	"archipel/internal/fleet"
	"archipel/internal/policy"
	"archipel/internal/render"
	"archipel/internal/schema"
	"archipel/internal/source"
	"archipel/internal/term"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// Further formats of --output; lint shares the second.
const (
	outputMarkdown = "markdown"
	outputGitHub   = "github"
)

type diffOptions struct {
	output   string
	exitCode bool
	offline  bool
}

func newDiffCmd(env *Env) *cobra.Command {
	var options diffOptions
	cmd := &cobra.Command{
		Use:   "diff [revision]" + sitesUse,
		Short: "Show what a change would do to every site",
		Long: `Render every site before and after a change, and show what Flux would do: which
objects are created, changed, deleted or left behind, field by field, and what
changes in the inventories, in Terraform and in Ansible. What is dangerous comes
first, with the reason. The same change at many sites is shown once.

The revision says what is compared:
  (none)    HEAD with the working tree
  A         A with the working tree
  A..B      A with B
  A...B     what B changed since it parted from A, as a pull request shows it
A and B are branches, tags, hashes or HEAD, with ~ and ^ after them. A first
argument that names a site is a site; refs/heads/NAME is the branch of that
name.

Values of Secrets are never shown. The formats markdown and github are comments
for a pull request, of at most 65000 bytes.

Exit codes: 0 done; with --exit-code 1 when there is a difference; 2 bad usage;
3 could not finish.`,
		Example: `  archipel diff
  archipel diff main site-a
  archipel diff origin/main...HEAD --output github`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDiff(cmd.Context(), env, args, options)
		},
	}
	formats := []string{outputText, outputJSON, outputMarkdown, outputGitHub}
	cmd.Flags().StringVarP(&options.output, "output", "o", outputText, "`format` of the answer: text, json, markdown or github")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(formats, options.output) {
			return hintError{usageError{fmt.Errorf("unknown format %q for --output", options.output)}, "use text, json, markdown or github"}
		}
		return nil
	}
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // fails for an unknown flag only
	cmd.Flags().BoolVar(&options.exitCode, "exit-code", false, "exit with 1 when there is a difference")
	addOfflineFlag(cmd, &options.offline)
	return cmd
}

func runDiff(ctx context.Context, env *Env, args []string, options diffOptions) error {
	repository, err := source.Open(env.Dir)
	if err != nil {
		return configError{err}
	}
	defer repository.Close()
	before, after, names, err := diffTrees(repository, args)
	if err != nil {
		return configError{err}
	}
	p, findings := policy.Load(repository.FS())
	charts, lockFindings, err := openCharts(env, repository, p, options.offline)
	if err != nil {
		return err
	}
	if err := refuse(env, repository, append(findings, lockFindings...)); err != nil {
		return err
	}
	d := fleetDiff{before: before, after: after, collector: diff.NewCollector(), schemas: schema.New()}
	if err := d.chooseSites(names); err != nil {
		return err
	}
	config, err := renderConfig(env, after.files, charts)
	if err != nil {
		return err
	}
	after.renderer = render.New(config)
	before.renderer = after.renderer.On(before.files)
	report, err := d.run(ctx)
	if err != nil {
		return err
	}
	if err := writeDiff(env, report, options.output); err != nil {
		return err
	}
	if options.exitCode && len(report.Changes) > 0 {
		return statusError(exitFindings)
	}
	return nil
}

func writeDiff(env *Env, report *diff.Report, output string) error {
	switch output {
	case outputJSON:
		return diff.JSON(env.Stdout, report)
	case outputMarkdown:
		return diff.Markdown(env.Stdout, report)
	case outputGitHub:
		return diff.GitHub(env.Stdout, report)
	}
	return diff.Text(env.Stdout, report, term.NewStyle(env.Stdout, env.Getenv).Colour)
}

// diffTree is one side of a comparison.
type diffTree struct {
	name     string
	files    fs.FS
	fleet    *fleet.Fleet
	findings []finding.Finding // of its inventories
	renderer *render.Renderer
}

func newDiffTree(name string, files fs.FS) *diffTree {
	t := &diffTree{name: name, files: files}
	t.fleet, t.findings = fleet.Load(files)
	return t
}

// diffTrees opens the two sides that the arguments ask for, and returns the
// arguments that name sites.
func diffTrees(repository *source.Repository, args []string) (before, after *diffTree, sites []string, err error) {
	git, err := repository.Git()
	if err != nil {
		return nil, nil, nil, err
	}
	working := func() *diffTree { return newDiffTree("working tree", repository.FS()) }
	open := func(r *source.Revision, err error) (*diffTree, error) {
		if err != nil {
			return nil, hintError{err, "archipel diff --help says how to name revisions"}
		}
		return newDiffTree(r.Name, r), nil
	}
	first := ""
	if len(args) > 0 {
		first = args[0]
	}
	if a, b, ok := strings.Cut(first, ".."); ok {
		b, parted := strings.CutPrefix(b, ".")
		a, b = orHead(a), orHead(b)
		if parted {
			before, err = open(git.MergeBase(a, b))
		} else {
			before, err = open(git.Revision(a))
		}
		if err != nil {
			return nil, nil, nil, err
		}
		after, err = open(git.Revision(b))
		return before, after, args[1:], err
	}
	revision := "HEAD"
	sites = args
	if _, err := fs.Stat(repository.FS(), source.Marker+"/"+first); first != "" && (err != nil || !fs.ValidPath(first)) {
		// A site that only the revision has is not there any more: it is no revision either.
		_, unknown := git.Revision(first)
		head, headErr := git.Revision("HEAD")
		gone := headErr == nil && isDir(head, source.Marker+"/"+first)
		if unknown == nil || !gone {
			revision, sites = first, args[1:]
		}
	}
	before, err = open(git.Revision(revision))
	return before, working(), sites, err
}

func isDir(files fs.FS, name string) bool {
	info, err := fs.Stat(files, name)
	return err == nil && info.IsDir()
}

func orHead(revision string) string {
	if revision == "" {
		return "HEAD"
	}
	return revision
}

// fleetDiff compares two trees site by site.
type fleetDiff struct {
	before, after *diffTree
	sites         []string // sorted
	schemas       *schema.Store

	mu        sync.Mutex
	collector *diff.Collector
}

// chooseSites takes the named sites, or all that one of the two trees has.
func (d *fleetDiff) chooseSites(names []string) error {
	for _, t := range []*diffTree{d.before, d.after} {
		for _, site := range t.fleet.Sites {
			if len(names) == 0 || slices.Contains(names, site.Name) {
				d.sites = append(d.sites, site.Name)
			}
		}
	}
	slices.Sort(d.sites)
	d.sites = slices.Compact(d.sites)
	for _, name := range names {
		if !slices.Contains(d.sites, name) {
			_, err := selectSites(d.after.fleet, []string{name})
			return err
		}
	}
	return nil
}

func (d *fleetDiff) run(ctx context.Context) (*diff.Report, error) {
	changed, err := source.Changes(d.before.files, d.after.files, "kubernetes")
	if err != nil {
		return nil, err
	}
	for _, t := range []*diffTree{d.before, d.after} {
		d.collector.Skip(skippedFindings(t.name, "", t.findings))
	}
	d.collector.Add(diff.CompareTerraform(d.before.files, d.after.files, changed, d.sites))
	d.collector.Add(diff.CompareAnsible(d.before.files, d.after.files, changed, d.sites))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, site := range d.sites {
		group.Go(func() error { return d.site(ctx, site) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return d.collector.Report(d.before.name, d.after.name, d.sites, len(changed)), nil
}

func (d *fleetDiff) site(ctx context.Context, name string) error {
	old, before, err := d.before.render(ctx, name)
	if err != nil {
		return fmt.Errorf("rendering %s at %s: %w", name, d.before.name, err)
	}
	fresh, after, err := d.after.render(ctx, name)
	if err != nil {
		return fmt.Errorf("rendering %s at %s: %w", name, d.after.name, err)
	}
	options := diff.Options{Before: d.before.name, After: d.after.name}
	if fresh != nil {
		// Only an object that changes needs the schemas.
		set := sync.OnceValue(func() *schema.Set {
			var definitions []map[string]any
			for _, o := range after.Objects {
				if o.GetKind() == "CustomResourceDefinition" {
					definitions = append(definitions, o.Object)
				}
			}
			set, _ := d.schemas.Set(fresh.Facts.K3sVersion, definitions)
			return set
		})
		options.Immutable = func(before, after map[string]any) []schema.Problem { return set().ImmutableChanges(before, after) }
	}
	changes, skipped := diff.Compare(name, before, after, options)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.collector.Add(diff.CompareSites(old, fresh))
	d.collector.Add(changes)
	d.collector.Skip(skipped)
	if before != nil {
		d.collector.Skip(skippedFindings(d.before.name, name, before.Findings))
	}
	if after != nil {
		d.collector.Skip(skippedFindings(d.after.name, name, after.Findings))
	}
	return nil
}

// render renders a site of the tree; nil when it has no such site.
func (t *diffTree) render(ctx context.Context, name string) (*fleet.Site, *render.Result, error) {
	site, ok := t.fleet.Site(name)
	if !ok {
		return nil, nil, nil
	}
	result, err := t.renderer.Site(ctx, site)
	return site, result, err
}

// skippedFindings are the errors of a tree: what they concern is not compared.
func skippedFindings(tree, site string, findings []finding.Finding) []diff.Skipped {
	var skipped []diff.Skipped
	for _, f := range findings {
		if !isError(f) {
			continue
		}
		s := diff.Skipped{Sides: []string{tree}, Code: f.Rule, Reason: term.Clean(f.Message), Sites: slices.Clone(f.Sites)}
		if site != "" {
			s.Sites = []string{site}
		}
		if s.Object = term.Clean(f.Position.File); f.Position.Line > 0 {
			s.Object += fmt.Sprintf(":%d", f.Position.Line)
		}
		skipped = append(skipped, s)
	}
	return skipped
}
