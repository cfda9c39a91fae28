package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"archipel/internal/check"
	"archipel/internal/source"
	"archipel/internal/term"

	"github.com/spf13/cobra"
)

type lintOptions struct {
	reportOptions
	fix bool
}

func newLintCmd(env *Env) *cobra.Command {
	var options lintOptions
	cmd := &cobra.Command{
		Use:   "lint" + sitesUse,
		Short: "Find what is wrong in the repository, in all layers",
		Long: `Check the inventories, the Flux tree and what Flux would apply of it to every
site, Terraform, Ansible and the policy, against all rules; nothing is asked of
a cluster. Each finding says where it is, how to repair it, and at which sites.
What cannot be checked is listed too, with the reason.

With sites, those and what they share are checked. archipel.yaml says which
severities other rules have, and which findings are accepted. Encrypted values
are never opened, so that the answer is the same on every machine.

--fix writes what is safe to write: stale derived files, how YAML and Terraform
files are written, and the versions of charts that archipel.lock pins.

Exit codes: 0 nothing at the threshold, 1 findings, 2 bad usage, 3 could not
finish.`,
		Example: `  archipel lint
  archipel lint site-a --offline --fail-on warning
  archipel lint --fix
  archipel lint --explain yaml-bool-ambiguous
  archipel lint --output sarif > archipel.sarif`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLint(cmd.Context(), env, args, options)
		},
	}
	addReportFlags(cmd, &options.reportOptions, check.All)
	cmd.Flags().BoolVar(&options.fix, "fix", false, "repair what is safe to repair")
	return cmd
}

func runLint(ctx context.Context, env *Env, names []string, options lintOptions) error {
	if options.explain != "" {
		return explainRule(env, options.explain)
	}
	repository, err := source.Open(env.Dir)
	if err != nil {
		return configError{err}
	}
	defer repository.Close()
	// A repair can make another one possible: what is derived follows from other files.
	const passes = 10
	for range passes {
		in, failOn, err := openCheck(env, repository, names, options.reportOptions)
		if err != nil {
			return err
		}
		report, err := check.Run(ctx, in)
		if err != nil {
			return unknownRule(err)
		}
		if !options.fix || len(report.Repairs) == 0 {
			return showReport(env, repository, report, "archipel lint", options.output, failOn, nil)
		}
		for _, repair := range report.Repairs {
			if err := replaceFile(filepath.Join(repository.Root(), filepath.FromSlash(repair.Path)), repair.Content, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(env.Stderr, "fixed %s: %s\n", term.Clean(repair.Path), term.Clean(strings.Join(repair.Done, ", ")))
		}
	}
	return fmt.Errorf("repairing: after %d passes there is still something to repair", passes)
}
