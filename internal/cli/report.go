package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// Formats of commands that report findings, beside text, json and github.
const (
	outputSARIF = "sarif"
	outputJUnit = "junit"
)

// reportFormats are those of all commands that report findings.
func reportFormats() []string {
	return []string{outputText, outputJSON, outputSARIF, outputGitHub, outputJUnit}
}

// reportOptions are the flags that archipel lint and archipel security share.
type reportOptions struct {
	output  string
	failOn  string
	rules   []string
	explain string
	offline bool
}

// addReportFlags adds the flags of reportOptions; rules are those that --rule may name.
func addReportFlags(cmd *cobra.Command, options *reportOptions, rules func() []check.Rule) {
	formats := reportFormats()
	severities := []string{finding.Error.String(), finding.Warning.String()}
	flags := cmd.Flags()
	flags.StringVarP(&options.output, "output", "o", outputText, "`format` of the answer: "+strings.Join(formats, ", "))
	flags.StringVar(&options.failOn, "fail-on", "", "the least `severity` that fails: error or warning (default that of archipel.yaml, else error)")
	flags.StringArrayVar(&options.rules, "rule", nil, "check this `rule` alone; may be repeated")
	flags.StringVar(&options.explain, "explain", "", "print what a `rule` is about, with its examples, and check nothing")
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
		for _, rule := range rules() {
			ids = append(ids, rule.ID)
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
	completeFlags(cmd, map[string]cobra.CompletionFunc{
		"output":  cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp),
		"fail-on": cobra.FixedCompletions(severities, cobra.ShellCompDirectiveNoFileComp),
		"rule":    completeRules, "explain": completeRules,
	})
}

// completeFlags registers completions of flags that the command has.
func completeFlags(cmd *cobra.Command, completions map[string]cobra.CompletionFunc) {
	for name, complete := range completions {
		_ = cmd.RegisterFlagCompletionFunc(name, complete) // fails for an unknown flag only
	}
}

func explainRule(env *Env, id string) error {
	text, err := check.Explain(id)
	if err != nil {
		return unknownRule(err)
	}
	_, err = fmt.Fprint(env.Stdout, text)
	return err
}

// unknownRule makes the error of a mistyped rule one of usage.
func unknownRule(err error) error {
	if _, ok := errors.AsType[*check.UnknownRuleError](err); ok {
		return hintError{usageError{err}, "docs/reference/rules.md lists the rules; findings show theirs in brackets"}
	}
	return err
}

// openCheck reads a repository as it is now for its rules, and says which severity fails.
func openCheck(env *Env, repository *source.Repository, names []string, options reportOptions) (check.Input, finding.Severity, error) {
	files := repository.FS()
	f, found := fleet.Load(files)
	sites, err := selectSites(f, names)
	if err != nil {
		return check.Input{}, 0, err
	}
	p, policyFindings := policy.Load(files)
	charts, lockFindings, err := openCharts(env, repository, p, options.offline)
	if err != nil {
		return check.Input{}, 0, err
	}
	lock, _ := chart.ReadLock(files)
	config, err := renderConfig(env, files, charts)
	if err != nil {
		return check.Input{}, 0, err
	}
	config.Identities = nil // what is encrypted can then be in no finding
	failOn := cmp.Or(p.FailOn, finding.Error)
	switch options.failOn {
	case finding.Error.String():
		failOn = finding.Error
	case finding.Warning.String():
		failOn = finding.Warning
	}
	return check.Input{
		FS: files, Fleet: f, Policy: p, Found: slices.Concat(found, policyFindings, lockFindings), Sites: sites, Only: options.rules,
		Renderer: render.New(config), Lock: lock,
		Program: func(ctx context.Context, name string, args ...string) ([]byte, error) {
			out, err := tool.Run(ctx, tool.Command{Name: name, Args: args, Dir: repository.Root(), Env: env.Environ})
			if _, missing := errors.AsType[*tool.MissingError](err); missing {
				return nil, check.ErrNoProgram
			}
			return out, err
		},
	}, failOn, nil
}

// showReport prints what a command found, and returns the exit code that it stands for. text
// prints it for a person; nil lists the findings above the summary.
func showReport(env *Env, repository *source.Repository, report *check.Report, command, output string, failOn finding.Severity, text func() error) error {
	if text == nil {
		text = func() error {
			style := term.NewStyle(env.Stdout, env.Getenv)
			if err := finding.Text(env.Stdout, repository.FS(), report.Findings, style.Colour); err != nil {
				return err
			}
			_, err := fmt.Fprint(env.Stdout, reportSummary(report, "ignored"))
			return err
		}
	}
	var err error
	switch output {
	case outputJSON:
		err = finding.JSON(env.Stdout, report.Findings, reportAbout(report)...)
	case outputSARIF:
		err = finding.SARIF(env.Stdout, report.Findings, findingRun(report, command))
	case outputGitHub:
		err = finding.GitHub(env.Stdout, report.Findings, findingRun(report, command))
	case outputJUnit:
		err = finding.JUnit(env.Stdout, report.Findings, findingRun(report, command))
	default:
		err = text()
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(report.Findings, func(f finding.Finding) bool { return f.Severity >= failOn }) {
		return statusError(exitFindings)
	}
	return nil
}

// reportSummary says what was not checked and why, and in its last line how much there is.
// accepted is what the findings that are not shown are called.
func reportSummary(report *check.Report, accepted string, more ...string) string {
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
	looked := append([]string{plural(report.Sites, "site"), plural(report.Files, "YAML file"), plural(report.Objects, "object"), plural(len(report.Rules), "rule")}, more...)
	fmt.Fprintf(&b, "%s, %s, %d %s, %d skipped: %s\n",
		plural(errorCount, "error"), plural(warningCount, "warning"), report.Ignored, accepted, skipped, strings.Join(looked, ", "))
	return b.String()
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// reportAbout is what --output json says beside the findings. Fields may be added, never changed.
func reportAbout(report *check.Report) []finding.About {
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

// findingRun is what the formats of other programs say of a run of a command.
func findingRun(report *check.Report, command string) finding.Run {
	run := finding.Run{Name: command}
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
