// Package cli holds archipel's commands, flags, exit codes and wiring.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"archipel/internal/lab"
	"archipel/internal/tool"

	"github.com/spf13/cobra"
)

// The exit codes; docs/architecture.md explains them.
const (
	exitClean       = 0
	exitFindings    = 1   // findings, differences, or something that is not ready
	exitUsage       = 2   // bad usage or configuration
	exitFailed      = 3   // could not finish
	exitInterrupted = 130 // as a shell reports SIGINT
)

// Run runs archipel with args (without the program's name) and returns its exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	env := processEnv(stdin, stdout, stderr)
	env.Args = args
	root := newRootCmd(env)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return report(stderr, root.ExecuteContext(ctx))
}

// statusError ends a command that has said everything already.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is a command that was called wrongly.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// configError is a repository or an environment that archipel cannot work with.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

// hintError adds what to run next.
type hintError struct {
	error
	hint string
}

func (e hintError) Unwrap() error { return e.error }

// report prints err, once, and returns the exit code that stands for it.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitClean
	}
	if code, ok := errors.AsType[statusError](err); ok {
		return int(code)
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupted
	}
	fmt.Fprintln(stderr, "error:", err)
	if hint := hintFor(err); hint != "" {
		fmt.Fprintln(stderr, "hint:", hint)
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[configError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// hintFor says what to do about an error that can be helped.
func hintFor(err error) string {
	if e, ok := errors.AsType[hintError](err); ok {
		return e.hint
	}
	if e, ok := errors.AsType[*tool.MissingError](err); ok {
		if e.Program == "go" {
			return "install Go 1.26 or newer: https://go.dev/doc/install"
		}
		return fmt.Sprintf("install %s (on Debian and Ubuntu: apt-get install %s)", e.Program, e.Program)
	}
	if e, ok := errors.AsType[*lab.DeadError](err); ok && e.Site != "" {
		return fmt.Sprintf("archipel lab logs %s %s shows all of it; archipel lab up tries again", e.Site, e.Component)
	}
	return ""
}

func newRootCmd(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "archipel",
		Short: "Raise and keep multi-site k3s fleets",
		Long: `archipel takes a fleet of k3s sites from bare inventory to reconciled by Flux.

The repository's kubernetes/ tree declares everything: the inventories under
kubernetes/ansible say which sites and nodes there are, kubernetes/flux what
runs on them. archipel finds the repository from the working directory upwards.

Exit codes: 0 clean; 1 findings, or something is not ready; 2 bad usage or
configuration; 3 could not finish; 130 interrupted.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          onlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
		SuggestionsMinimumDistance: 2,
	}
	root.PersistentFlags().StringVarP(&env.Dir, "dir", "C", ".", "look for the repository from this `folder` upwards")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return hintError{usageError{err}, cmd.CommandPath() + " --help lists the flags"}
	})
	root.AddCommand(
		newPlanCmd(env),
		newApplyCmd(env),
		newBootstrapCmd(env),
		newStatusCmd(env),
		newRenderCmd(env),
		newLintCmd(env),
		newSiteCmd(env),
		newLockCmd(env),
		newDiffCmd(env),
		newNodeCmd(env),
		newUpgradeCmd(env),
		newBackupCmd(env),
		newRestoreCmd(env),
		newResetCmd(env),
		newStateCmd(env),
		newSecretCmd(env),
		newHooksCmd(env),
		newLabCmd(env),
		newVersionCmd(env),
	)
	wrapArgs(root)
	return root
}

// helpWidth is what a terminal of 80 columns shows of a help text without
// breaking a line.
const helpWidth = 80

// wrapArgs makes wrong arguments usage errors, on all commands.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return hintError{usageError{err}, cmd.CommandPath() + " --help says how to call it"}
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		wrapArgs(child)
	}
}

// newGroupCmd returns a command that only holds others.
func newGroupCmd(use, short, long string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: onlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(children...)
	return cmd
}

// onlyCommands refuses arguments of a command that only holds others: each is a
// command that there is none of.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w, did you mean %s?", err, strings.Join(near, " or "))
	}
	return err
}

// Formats of --output.
const (
	outputText = "text"
	outputJSON = "json"
)

// addOutputFlag adds --output, checked before the command runs.
func addOutputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", outputText, "`format` of the answer: text or json")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if *output != outputText && *output != outputJSON {
			return hintError{usageError{fmt.Errorf("unknown format %q for --output", *output)}, "use text or json"}
		}
		return nil
	}
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{outputText, outputJSON}, cobra.ShellCompDirectiveNoFileComp)) // fails for an unknown flag only
}
