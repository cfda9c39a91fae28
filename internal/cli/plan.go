package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"archipel/internal/term"
	"archipel/internal/terraform"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

type planOptions struct {
	infraFlags
	output   string
	exitCode bool
	parallel int
}

func newPlanCmd(env *Env) *cobra.Command {
	var options planOptions
	cmd := &cobra.Command{
		Use:   "plan" + sitesUse,
		Short: "Show what apply would change in the infrastructure",
		Long: `Plan the networks and machines of sites with Terraform or OpenTofu, several
sites at a time, and show one summary: what is destroyed or replaced first, then
the counts and the resources of each site. Drift, which is what changed since
the last apply without it, stands apart.

Before anything is run, the inventories and the Terraform tree are checked, and
the store of the states is asked whether it can be used.

The plans are kept, readable by you alone, for archipel apply. Of values, only
numbers and switches are shown, and only where they are not sensitive.

Credentials of the store come from the environment (AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, or AWS_PROFILE).

Exit codes: 0 done; with --exit-code 1 when there is something to apply; 2 bad
usage or configuration; 3 a site could not be planned.`,
		Example: `  archipel plan
  archipel plan site-a --tool tofu
  archipel plan --output markdown`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPlan(cmd.Context(), env, args, options)
		},
	}
	formats := []string{outputText, outputJSON, outputMarkdown}
	cmd.Flags().StringVarP(&options.output, "output", "o", outputText, "`format` of the answer: text, json or markdown")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(formats, options.output) {
			return hintError{usageError{fmt.Errorf("unknown format %q for --output", options.output)}, "use text, json or markdown"}
		}
		return nil
	}
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // fails for an unknown flag only
	cmd.Flags().BoolVar(&options.exitCode, "exit-code", false, "exit with 1 when there is something to apply")
	cmd.Flags().IntVar(&options.parallel, "parallel", 4, "`sites` at a time")
	addInfraFlags(cmd, &options.infraFlags)
	return cmd
}

func runPlan(ctx context.Context, env *Env, names []string, options planOptions) error {
	scene, err := openInfra(ctx, env, names, options.infraFlags)
	if err != nil {
		return err
	}
	defer scene.Close()
	workspaces, err := scene.workspaces(ctx, options.infraFlags)
	if err != nil {
		return err
	}
	scene.progress = term.NewProgress(env.Stderr, term.NewStyle(env.Stderr, env.Getenv), env.Now)
	results := make([]terraform.Result, len(workspaces))
	errs := make([]error, len(workspaces))
	var group errgroup.Group
	group.SetLimit(max(options.parallel, 1))
	for i, w := range workspaces {
		group.Go(func() error {
			results[i].Site = w.Site
			var kept *terraform.Kept
			if errs[i] = ctx.Err(); errs[i] == nil {
				kept, errs[i] = scene.plan(ctx, w)
			}
			if errs[i] == nil {
				results[i].Summary = kept.Summary
			} else {
				results[i].Error = errs[i].Error()
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	scene.progress.Stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := writePlan(env, results, options.output); err != nil {
		return err
	}
	code := exitClean
	for i, err := range errs {
		switch {
		case err != nil:
			code = max(code, report(env.Stderr, scene.explainInfra(results[i].Site, err)))
		case options.exitCode && results[i].Summary.Any():
			code = max(code, exitFindings)
		}
	}
	if code != exitClean {
		return statusError(code)
	}
	return nil
}

// plan makes the plan of one site.
func (s *infraScene) plan(ctx context.Context, w *terraform.Workspace) (*terraform.Kept, error) {
	release, err := w.Lock(s.who())
	if err != nil {
		s.progress.Fail(w.Site, "busy")
		return nil, err
	}
	defer release()
	return s.planLocked(ctx, w)
}

func (s *infraScene) planLocked(ctx context.Context, w *terraform.Workspace) (*terraform.Kept, error) {
	w.Progress = s.progress
	kept, err := w.Plan(ctx, s.env.Now())
	if err != nil {
		s.progress.Fail(w.Site, "no plan")
		return nil, err
	}
	for _, warning := range kept.Summary.Warnings {
		s.progress.Print(w.Site + ": warning: " + term.Clean(warning))
	}
	s.progress.Done(w.Site, cmp.Or(terraform.Headline(kept.Summary), "planned"))
	return kept, nil
}

func writePlan(env *Env, results []terraform.Result, output string) error {
	switch output {
	case outputJSON:
		return terraform.JSON(env.Stdout, results)
	case outputMarkdown:
		return terraform.Markdown(env.Stdout, results)
	}
	return terraform.Text(env.Stdout, results, term.NewStyle(env.Stdout, env.Getenv).Colour)
}
