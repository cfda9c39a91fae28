package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"archipel/internal/chart"
	"archipel/internal/check"
	"archipel/internal/finding"
	"archipel/internal/fleet"
	"archipel/internal/policy"
	"archipel/internal/render"
	"archipel/internal/source"
	"archipel/internal/term"
	"archipel/internal/tool"

	"github.com/spf13/cobra"
)

// Formats of archipel lint, beside text and json.
const (
	outputSARIF = "sarif"
	outputJUnit = "junit"
)

type lintOptions struct {
	output  string
	failOn  string
	rules   []string
	explain string
	fix     bool
	offline bool
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
	flags := cmd.Flags()
	formats := []string{outputText, outputJSON, outputSARIF, outputGitHub, outputJUnit}
	severities := []string{finding.Error.String(), finding.Warning.String()}
	flags.StringVarP(&options.output, "output", "o", outputText, "`format` of the answer: "+strings.Join(formats, ", "))
	flags.StringVar(&options.failOn, "fail-on", "", "the least `severity` that fails: error or warning (default that of archipel.yaml, else error)")
	flags.StringArrayVar(&options.rules, "rule", nil, "check this `rule` alone; may be repeated")
	flags.StringVar(&options.explain, "explain", "", "print what a `rule` is about, with its examples, and check nothing")
	flags.BoolVar(&options.fix, "fix", false, "repair what is safe to repair")
	addOfflineFlag(cmd, &options.offline)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(formats, options.output) {
			return hintError{usageError{fmt.Errorf("unknown format %q for --output", options.output)}, "use " + strings.Join(formats, ", ")}
		}
		if options.failOn != "" && !slices.Contains(severities, options.failOn) {
			return hintError{usageError{fmt.Errorf("unknown severity %q for --fail-on", options.failOn)}, "use error or warning"}
		}
		return nil
	}
	completeRules := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var ids []string
		for _, rule := range check.All() {
			ids = append(ids, rule.ID)
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
	for name, complete := range map[string]cobra.CompletionFunc{
		"output":  cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp),
		"fail-on": cobra.FixedCompletions(severities, cobra.ShellCompDirectiveNoFileComp),
		"rule":    completeRules, "explain": completeRules,
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, complete) // fails for an unknown flag only
	}
	return cmd
}

func runLint(ctx context.Context, env *Env, names []string, options lintOptions) error {
	if options.explain != "" {
		text, err := check.Explain(options.explain)
		if err != nil {
			return unknownRule(err)
		}
		_, err = fmt.Fprint(env.Stdout, text)
		return err
	}
	repository, err := source.Open(env.Dir)
	if err != nil {
		return configError{err}
	}
	defer repository.Close()
	// A repair can make another one possible: what is derived follows from other files.
	const passes = 10
	for range passes {
		report, failOn, err := lintOnce(ctx, env, repository, names, options)
		if err != nil {
			return unknownRule(err)
		}
		if !options.fix || len(report.Repairs) == 0 {
			return showLint(env, repository, report, options, failOn)
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

// unknownRule makes the error of a mistyped rule one of usage.
func unknownRule(err error) error {
	if _, ok := errors.AsType[*check.UnknownRuleError](err); ok {
		return hintError{usageError{err}, "docs/reference/rules.md lists the rules; findings show theirs in brackets"}
	}
	return err
}

// lintOnce checks the repository as it is now, and says which severity fails.
func lintOnce(ctx context.Context, env *Env, repository *source.Repository, names []string, options lintOptions) (*check.Report, finding.Severity, error) {
	files := repository.FS()
	f, found := fleet.Load(files)
	sites, err := selectSites(f, names)
	if err != nil {
		return nil, 0, err
	}
	p, policyFindings := policy.Load(files)
	charts, lockFindings, err := openCharts(env, repository, p, options.offline)
	if err != nil {
		return nil, 0, err
	}
	lock, _ := chart.ReadLock(files)
	config, err := renderConfig(env, files, charts)
	if err != nil {
		return nil, 0, err
	}
	config.Identities = nil // what is encrypted can then be in no finding
	report, err := check.Run(ctx, check.Input{
		FS: files, Fleet: f, Policy: p, Found: slices.Concat(found, policyFindings, lockFindings), Sites: sites, Only: options.rules,
		Renderer: render.New(config), Lock: lock,
		Program: func(ctx context.Context, name string, args ...string) ([]byte, error) {
			out, err := tool.Run(ctx, tool.Command{Name: name, Args: args, Dir: repository.Root(), Env: env.Environ})
			if _, missing := errors.AsType[*tool.MissingError](err); missing {
				return nil, check.ErrNoProgram
			}
			return out, err
		},
	})
	failOn := cmp.Or(p.FailOn, finding.Error)
	switch options.failOn {
	case finding.Error.String():
		failOn = finding.Error
	case finding.Warning.String():
		failOn = finding.Warning
	}
	return report, failOn, err
}

// showLint prints a report, and returns the exit code that it stands for.
func showLint(env *Env, repository *source.Repository, report *check.Report, options lintOptions, failOn finding.Severity) error {
	var err error
	switch options.output {
	case outputJSON:
		err = finding.JSON(env.Stdout, report.Findings, lintAbout(report)...)
	case outputSARIF:
		err = finding.SARIF(env.Stdout, report.Findings, lintRun(report))
	case outputGitHub:
		err = finding.GitHub(env.Stdout, report.Findings, lintRun(report))
	case outputJUnit:
		err = finding.JUnit(env.Stdout, report.Findings, lintRun(report))
	default:
		style := term.NewStyle(env.Stdout, env.Getenv)
		if err = finding.Text(env.Stdout, repository.FS(), report.Findings, style.Colour); err == nil {
			_, err = fmt.Fprint(env.Stdout, lintSummary(report))
		}
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(report.Findings, func(f finding.Finding) bool { return f.Severity >= failOn }) {
		return statusError(exitFindings)
	}
	return nil
}

// lintSummary says what was not checked and why, and in its last line how much there is.
func lintSummary(report *check.Report) string {
	var b strings.Builder
	if len(report.Findings) > 0 {
		b.WriteByte('\n')
	}
	skipped := 0
	for _, skip := range report.Skipped {
		skipped += skip.Count
		fmt.Fprintf(&b, "skipped: %s [%s] %s\n", term.Clean(skip.Reason), term.Clean(skip.Code), times(skip.Count))
	}
	errorCount, warningCount := 0, 0
	for _, f := range report.Findings {
		if f.Severity == finding.Error {
			errorCount++
		} else {
			warningCount++
		}
	}
	fmt.Fprintf(&b, "%s, %s, %d ignored, %d skipped: %s, %s, %s, %s\n",
		plural(errorCount, "error"), plural(warningCount, "warning"), report.Ignored, skipped,
		plural(report.Sites, "site"), plural(report.Files, "YAML file"), plural(report.Objects, "object"), plural(len(report.Rules), "rule"))
	return b.String()
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// lintAbout is what --output json says beside the findings. Fields may be added, never changed.
func lintAbout(report *check.Report) []finding.About {
	type skip struct {
		Code   string `json:"code"`
		Reason string `json:"reason"`
		Count  int    `json:"count"`
	}
	skipped := []skip{}
	for _, s := range report.Skipped {
		skipped = append(skipped, skip{s.Code, s.Reason, s.Count})
	}
	return []finding.About{
		{Key: "skipped", Value: skipped},
		{Key: "ignored", Value: report.Ignored},
		{Key: "checked", Value: map[string]int{"sites": report.Sites, "files": report.Files, "objects": report.Objects, "rules": len(report.Rules)}},
	}
}

// lintRun is what the formats of other programs say of a run.
func lintRun(report *check.Report) finding.Run {
	run := finding.Run{}
	if build, ok := debug.ReadBuildInfo(); ok {
		run.Version = build.Main.Version
	}
	for _, rule := range report.Rules {
		run.Rules = append(run.Rules, finding.Rule{ID: rule.ID, Group: string(rule.Group), Severity: rule.Severity, Summary: rule.Summary, Reason: rule.Reason})
	}
	for _, skip := range report.Skipped {
		run.Skipped = append(run.Skipped, finding.Skipped{Code: skip.Code, Reason: skip.Reason, Count: skip.Count})
	}
	return run
}
