package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"archipel/internal/chart"
	"archipel/internal/policy"
	"archipel/internal/render"
	"archipel/internal/term"

	"github.com/spf13/cobra"
)

type lockOptions struct {
	update, check, offline bool
}

func newLockCmd(env *Env) *cobra.Command {
	var options lockOptions
	cmd := &cobra.Command{
		Use:   "lock" + sitesUse,
		Short: "Pin the charts and artefacts of the sites by digest",
		Long: `Write archipel.lock: which version and digest each chart and OCI artefact has
that the sites refer to. render, lint and diff then use exactly those, and
refuse what has another digest. Commit the file.

What is locked stays as it is, unless --update is given. What nothing refers to
any more is removed when all sites are looked at and none has an error.

With --check nothing is written; the exit code is 1 when the lock is stale.`,
		Example: `  archipel lock
  archipel lock --update site-a
  archipel lock --check --offline`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLock(cmd.Context(), env, args, options)
		},
	}
	cmd.Flags().BoolVar(&options.update, "update", false, "look up again what is locked already")
	cmd.Flags().BoolVar(&options.check, "check", false, "write nothing, and exit with 1 when the lock is stale")
	addOfflineFlag(cmd, &options.offline)
	return cmd
}

func runLock(ctx context.Context, env *Env, names []string, options lockOptions) error {
	repository, f, err := openFleet(env)
	if err != nil {
		return err
	}
	defer repository.Close()
	sites, err := selectSites(f, names)
	if err != nil {
		return err
	}
	p, findings := policy.Load(repository.FS())
	locked, lockFindings := chart.ReadLock(repository.FS())
	if err := refuse(env, repository, append(findings, lockFindings...)); err != nil {
		return err
	}
	config, err := chartConfig(env, p, options.offline)
	if err != nil {
		return err
	}
	config.Fresh = true
	if !options.update {
		config.Lock = locked
	}
	store := chart.New(config)
	rendering, err := renderConfig(env, repository.FS(), store)
	if err != nil {
		return err
	}
	rendering.Results = "" // what is kept already would not be asked for
	results, err := renderSites(ctx, render.New(rendering), sites)
	if err != nil {
		return err
	}
	whole := !slices.ContainsFunc(results, func(r *render.Result) bool { return slices.ContainsFunc(r.Findings, isError) })
	plan := planLock(locked, store.Used(), options)
	if !whole {
		fmt.Fprintln(env.Stderr, "the tree has errors, which may hide charts: nothing is removed from "+chart.LockFile)
	}
	if !whole || len(names) > 0 || plan.partial {
		plan.keep(locked)
	}
	if err := plan.failure(env); err != nil {
		return err
	}
	return plan.finish(env, repository.Root(), locked, options)
}

// lockPlan is what the lock should say, and why it may not.
type lockPlan struct {
	next    *chart.Lock
	added   []chart.Reference // that --check could not look up
	failed  []chart.Use       // that cannot be locked
	partial bool              // something could not be fetched, so what it refers to is not known
}

func planLock(locked *chart.Lock, uses []chart.Use, options lockOptions) *lockPlan {
	plan := &lockPlan{next: chart.NewLock(uses)}
	for _, use := range uses {
		if use.Err == nil {
			continue
		}
		plan.partial = true
		_, unavailable := errors.AsType[*chart.UnavailableError](use.Err)
		entry, before := locked.Find(use.Reference)
		switch {
		case unavailable && before && !options.update:
			plan.next.Add(entry)
		case unavailable && use.Reference.Digest != "":
		case unavailable && options.check && !before:
			plan.added = append(plan.added, use.Reference)
		default:
			plan.failed = append(plan.failed, use)
		}
	}
	return plan
}

// keep adds what is locked and was not come across.
func (p *lockPlan) keep(locked *chart.Lock) {
	for _, entry := range locked.Entries() {
		if _, there := p.next.Find(entry.Reference); !there {
			p.next.Add(entry)
		}
	}
}

func (p *lockPlan) failure(env *Env) error {
	if len(p.failed) == 0 {
		return nil
	}
	var lines []string
	err := fmt.Errorf("%s cannot be locked; archipel.lock is as it was", plural(len(p.failed), "reference"))
	for _, use := range p.failed {
		lines = append(lines, "  "+term.Clean(use.Err.Error()))
		if e, ok := errors.AsType[*chart.DigestError](use.Err); ok && e.By == chart.LockFile {
			err = hintError{err, "find out why the digest differs; archipel lock --update then takes what is there now"}
		}
	}
	slices.Sort(lines)
	fmt.Fprintln(env.Stderr, strings.Join(lines, "\n"))
	return err
}

// finish prints what changes and writes it.
func (p *lockPlan) finish(env *Env, root string, locked *chart.Lock, options lockOptions) error {
	changes := p.changes(locked)
	for _, change := range changes {
		fmt.Fprintln(env.Stdout, term.Clean(change))
	}
	if len(changes) == 0 {
		fmt.Fprintf(env.Stdout, "%s up to date: %s\n", chart.LockFile, plural(len(p.next.Entries()), "reference"))
		return nil
	}
	if options.check {
		fmt.Fprintln(env.Stderr, "hint: archipel lock writes it")
		return statusError(exitFindings)
	}
	content, err := p.next.Encode()
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(root, chart.LockFile), content, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "wrote %s\n", chart.LockFile)
	return nil
}

// changes lists the differences between two locks, a line for each.
func (p *lockPlan) changes(locked *chart.Lock) []string {
	var changes []string
	for _, reference := range p.added {
		changes = append(changes, "added   "+reference.String())
	}
	for _, entry := range p.next.Entries() {
		switch before, there := locked.Find(entry.Reference); {
		case !there:
			changes = append(changes, fmt.Sprintf("added   %s: %s %s", entry.Reference, entry.Resolved, entry.Digest))
		case before.Resolved != entry.Resolved || before.Digest != entry.Digest:
			changes = append(changes, fmt.Sprintf("changed %s: %s %s, was %s %s",
				entry.Reference, entry.Resolved, entry.Digest, before.Resolved, before.Digest))
		}
	}
	for _, entry := range locked.Entries() {
		if _, there := p.next.Find(entry.Reference); !there {
			changes = append(changes, "removed "+entry.Reference.String())
		}
	}
	return changes
}
