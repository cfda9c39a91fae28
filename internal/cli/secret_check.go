package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"archipel/internal/check"
	"archipel/internal/finding"
	"archipel/internal/guard"
	"archipel/internal/policy"
	"archipel/internal/source"
	"archipel/internal/term"
	"archipel/internal/tool"

	"github.com/spf13/cobra"
)

type secretCheckOptions struct {
	output          string
	staged, history bool
}

func newSecretCheckCmd(env *Env) *cobra.Command {
	var options secretCheckOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find secrets in plaintext before Git keeps them",
		Long: `Look for files *.sops.* that are not encrypted, Secrets in plaintext, and keys
and tokens of age, PEM, WireGuard, k3s, GitHub, GitLab and AWS. No key and no
network is needed, and no value is printed.

What Git would add is looked at: tracked and untracked files, not ignored ones.
With --staged that is what the next commit would change, as it stands in the
index; with --history it is every content of every commit. Both ask gitleaks
too, which knows some 200 kinds of tokens and takes about a second for each MiB.

archipel.yaml says which findings are accepted, each with its reason.

Exit codes: 0 nothing was found, 1 findings, 2 bad usage, 3 could not finish.`,
		Example: `  archipel secret check
  archipel secret check --staged
  archipel secret check --history --output sarif > archipel.sarif`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSecretCheck(cmd.Context(), env, options) },
	}
	cmd.Flags().BoolVar(&options.staged, "staged", false, "look at what the next commit would change")
	cmd.Flags().BoolVar(&options.history, "history", false, "look at all commits instead of the working tree")
	formats := reportFormats()
	cmd.Flags().StringVarP(&options.output, "output", "o", outputText, "`format` of the answer: "+strings.Join(formats, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // fails for an unknown flag only
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if options.staged && options.history {
			return hintError{usageError{errors.New("--staged and --history exclude one another")}, "run it once for each"}
		}
		if !slices.Contains(formats, options.output) {
			return hintError{usageError{fmt.Errorf("unknown format %q for --output", options.output)}, "use " + strings.Join(formats, ", ")}
		}
		return nil
	}
	return cmd
}

// gitCheckout is the whole working tree of a Git repository.
type gitCheckout struct {
	repository *source.Repository
	git        *source.Git
	fleet      string // path of the fleet from its root; "." when it is that root
}

// openGit opens the Git repository that the working directory is in. A fleet in it is not
// needed, and may be a folder of it.
func openGit(env *Env) (*gitCheckout, error) {
	repository, _, err := source.OpenAround(env.Dir, func(fs.FS) []string { return nil })
	if err != nil {
		return nil, configError{err}
	}
	c := &gitCheckout{repository: repository, fleet: "."}
	if c.git, err = repository.Git(); err != nil {
		_ = repository.Close()
		return nil, configError{err}
	}
	if fleet, err := source.Open(env.Dir); err == nil {
		if at, err := filepath.Rel(repository.Root(), fleet.Root()); err == nil && filepath.IsLocal(at) {
			c.fleet = filepath.ToSlash(at)
		}
		_ = fleet.Close()
	}
	return c, nil
}

// policy reads the archipel.yaml of the fleet.
func (c *gitCheckout) policy() (*policy.Policy, []finding.Finding) {
	files, err := fs.Sub(c.repository.FS(), c.fleet)
	if err != nil { // of paths that are none
		return &policy.Policy{}, nil
	}
	p, found := policy.Load(files)
	for i := range found {
		if c.fleet != "." {
			found[i].Position.File = c.fleet + "/" + found[i].Position.File
		}
	}
	return p, found
}

// run runs Git's program in the root of the working tree.
func (c *gitCheckout) run(ctx context.Context, env *Env, args ...string) (string, error) {
	out, err := tool.Run(ctx, tool.Command{Name: "git", Args: args, Dir: c.repository.Root(), Env: withoutKeys(env.Environ)})
	return string(out), err
}

func runSecretCheck(ctx context.Context, env *Env, options secretCheckOptions) error {
	checkout, err := openGit(env)
	if err != nil {
		return err
	}
	defer checkout.repository.Close()
	p, found := checkout.policy()
	if err := refuse(env, checkout.repository, found); err != nil {
		return err
	}
	files, err := checkout.files(ctx, env, options)
	if err != nil {
		return err
	}
	if options.history && checkout.git.Shallow() {
		fmt.Fprintln(env.Stderr, "the history of this shallow clone ends early; git fetch --unshallow gets all of it")
	}
	if found, err = guard.New(nil).Check(ctx, files, options.staged || options.history); err != nil {
		return err
	}
	found, ignored := accept(found, p, checkout.fleet)
	if err := showSecretCheck(env, checkout.repository, found, options, len(files), ignored); err != nil {
		return err
	}
	failOn := cmp.Or(p.FailOn, finding.Error)
	if slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Severity >= failOn }) {
		return statusError(exitFindings)
	}
	return nil
}

// files lists what is to be looked at.
func (c *gitCheckout) files(ctx context.Context, env *Env, options secretCheckOptions) ([]guard.File, error) {
	switch {
	case options.staged:
		blobs, err := c.git.Staged(env.Getenv("GIT_INDEX_FILE"))
		return guard.Git(c.git, blobs), err
	case options.history:
		commits, err := c.git.History(ctx)
		if err != nil {
			return nil, err
		}
		blobs, err := c.git.Contents(ctx, commits)
		return guard.Git(c.git, blobs), err
	}
	list, err := c.run(ctx, env, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, fmt.Errorf("listing the files of the working tree: %w", err)
	}
	names := strings.Split(strings.TrimSuffix(list, "\x00"), "\x00")
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return !fs.ValidPath(name) }) // a Git repository in this one ends in /
	return guard.Tree(c.repository.FS(), names), nil
}

// accept gives findings the severities of the policy, and takes out what it accepts.
func accept(found []finding.Finding, p *policy.Policy, fleet string) (left []finding.Finding, ignored int) {
	for _, f := range found {
		if level, ok := p.Severities[f.Rule]; ok {
			if f.Severity = level.Level; f.Severity == 0 {
				continue
			}
		}
		// A policy names files from the root of its fleet.
		name, inside := f.Position.File, true
		if fleet != "." {
			name, inside = strings.CutPrefix(name, fleet+"/")
		}
		if inside && slices.ContainsFunc(p.Ignores, func(i policy.Ignore) bool { return i.Matches(f.Rule, name, "") }) {
			ignored++
			continue
		}
		left = append(left, f)
	}
	return left, ignored
}

func showSecretCheck(env *Env, repository *source.Repository, found []finding.Finding, options secretCheckOptions, files, ignored int) error {
	rules := slices.DeleteFunc(check.All(), func(r check.Rule) bool { return !slices.Contains(guard.Rules(), r.ID) })
	run := findingRun(&check.Report{Rules: rules}, "archipel secret check")
	switch options.output {
	case outputJSON:
		return finding.JSON(env.Stdout, found, finding.About{Key: "files", Value: files}, finding.About{Key: "ignored", Value: ignored})
	case outputSARIF:
		return finding.SARIF(env.Stdout, found, run)
	case outputGitHub:
		return finding.GitHub(env.Stdout, found, run)
	case outputJUnit:
		return finding.JUnit(env.Stdout, found, run)
	}
	if len(found) == 0 && options.staged {
		return nil // it runs at every commit
	}
	style := term.NewStyle(env.Stdout, env.Getenv)
	if err := finding.Text(env.Stdout, repository.FS(), found, style.Colour); err != nil {
		return err
	}
	what, say := "file", fmt.Sprintf("\n%s in", plural(len(found), "finding"))
	if options.history {
		what = "content"
	}
	if len(found) == 0 {
		say = "no secret in plaintext in"
	}
	_, err := fmt.Fprintf(env.Stdout, "%s %s, %d ignored\n", say, plural(files, what), ignored)
	return err
}
