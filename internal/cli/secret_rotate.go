package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"archipel/internal/fleet"
	"archipel/internal/secret"
	"archipel/internal/term"

	"github.com/spf13/cobra"
)

type secretRotateOptions struct {
	recipients, dataKeys bool
	generated            string
	switched, yes        bool
	kubeconfig           string
}

func newSecretRotateCmd(env *Env) *cobra.Command {
	var options secretRotateOptions
	cmd := &cobra.Command{
		Use:   "rotate" + sitesUse,
		Short: "Replace keys and generated values, step by step",
		Long: `Replace one thing, and show the steps it takes. Every run reads from the files
and the cluster how far it is and does what can be done now, so it goes on
wherever it was left. Nothing is written before you agree.

  --recipients      encrypt the data keys for those whom .sops.yaml names
  --data-keys       encrypt all values anew, with new data keys
  --generated NAME  make a new value

` + strings.Join(term.Wrap("Names: "+strings.Join(secret.Generated(), ", ")+".", helpWidth), "\n") + `

The age key of a site (sops-age) changes while Flux works: the cluster has the
old and the new one until Flux has applied what only the new one opens.

--switched is your word for what cannot be seen from here: that the site uses
the new value, or that the Git server knows the new key.`,
		Example: `  archipel secret rotate --recipients
  archipel secret rotate --generated sops-age site-a`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSecretRotate(cmd.Context(), env, args, options)
		},
	}
	cmd.Flags().BoolVar(&options.recipients, "recipients", false, "encrypt data keys for those whom .sops.yaml names")
	cmd.Flags().BoolVar(&options.dataKeys, "data-keys", false, "encrypt all values with new data keys")
	cmd.Flags().StringVar(&options.generated, "generated", "", "make a new value of this `name`")
	cmd.Flags().BoolVar(&options.switched, "switched", false, "what the next step waits for has happened")
	cmd.Flags().BoolVarP(&options.yes, "yes", "y", false, "do not ask")
	cmd.Flags().StringVar(&options.kubeconfig, "kubeconfig", "", "`file` with a context per site")
	_ = cmd.RegisterFlagCompletionFunc("generated", cobra.FixedCompletions(secret.Generated(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runSecretRotate(ctx context.Context, env *Env, names []string, options secretRotateOptions) error {
	asked := 0
	for _, one := range []bool{options.recipients, options.dataKeys, options.generated != ""} {
		if one {
			asked++
		}
	}
	if asked != 1 {
		return usageError{errors.New("say what to replace, and one thing at a time: --recipients, --data-keys or --generated NAME")}
	}
	scene, f, sites, err := openSecretFleet(env, names)
	if err != nil {
		return err
	}
	defer scene.Close()
	r := &secret.Rotator{
		Store: scene.store, Keys: scene.keys, Now: env.Now(), Switched: options.switched,
		Open:   secretClusters(env, options.kubeconfig),
		FileAt: func(revision, file string) ([]byte, error) { return scene.fileAt(env, revision, file) },
		Say:    func(text string) { fmt.Fprintln(env.Stdout, text) },
	}
	if len(names) == 0 {
		sites = nil
	}
	var steps []secret.Step
	switch {
	case options.recipients:
		steps, err = r.Recipients(sites)
	case options.dataKeys:
		steps, err = r.DataKeys(sites)
	default:
		if err := checkGenerated(f, options.generated, sites); err != nil {
			return err
		}
		steps, err = r.Generated(ctx, options.generated, f, sites)
	}
	if err != nil {
		return explainSecret(env, scene.keys, err)
	}
	return explainSecret(env, scene.keys, runSteps(ctx, env, steps, options.yes))
}

// checkGenerated asks for the sites that a value belongs to: what changes
// something names where.
func checkGenerated(f *fleet.Fleet, name string, sites []*fleet.Site) error {
	if !slices.Contains(secret.Generated(), name) {
		return hintError{usageError{fmt.Errorf("unknown value %q for --generated", name)}, "use one of " + strings.Join(secret.Generated(), ", ")}
	}
	if name == secret.Generated()[0] { // the mesh CA
		if len(sites) > 0 && len(sites) < len(f.Sites) {
			return usageError{errors.New("all sites share the mesh CA: name no site")}
		}
		return nil
	}
	if len(sites) == 0 {
		return usageError{errors.New("name the sites whose " + name + " is to be replaced")}
	}
	return nil
}

// runSteps shows the steps of a rotation, and does those that can be done now.
func runSteps(ctx context.Context, env *Env, steps []secret.Step, yes bool) error {
	if len(steps) == 0 {
		fmt.Fprintln(env.Stdout, "nothing is to be done")
		return nil
	}
	style := term.NewStyle(env.Stdout, env.Getenv)
	mark := map[secret.StepState]string{
		secret.StepDone: style.Paint(term.Good, "✓"), secret.StepNow: style.Paint(term.Busy, "→"), secret.StepWait: style.Paint(term.Dim, "·"),
	}
	now := 0
	for i, step := range steps {
		fmt.Fprintf(env.Stdout, "%s %d/%d %s\n", mark[step.State], i+1, len(steps), term.Clean(step.Title))
		if step.State == secret.StepNow {
			now++
		}
	}
	if now > 0 {
		if err := agree(ctx, env, yes, "Do "+plural(now, "step")+" now (→)?"); err != nil {
			return err
		}
	}
	var failed error
	for i, step := range steps {
		if step.State == secret.StepNow {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := step.Run(); err != nil {
				failed = fmt.Errorf("step %d of %d: %w", i+1, len(steps), err)
				break
			}
			fmt.Fprintf(env.Stdout, "%s %d/%d done\n", mark[secret.StepDone], i+1, len(steps))
		}
	}
	if failed != nil {
		fmt.Fprintln(env.Stderr, "what is done stays done; the same command goes on from there")
		return failed
	}
	for i, step := range steps {
		if step.State == secret.StepWait && step.Note != "" {
			fmt.Fprintf(env.Stdout, "next, for %d/%d: %s\n", i+1, len(steps), term.Clean(step.Note))
			break
		}
	}
	return nil
}

func newSecretRecipientsCmd(env *Env) *cobra.Command {
	return newGroupCmd("recipients", "Let people read secrets, or no longer",
		`A recipient is the public half of an age key (age1...). Operators open every
file, readers those of one site.`,
		newSecretRecipientsAddCmd(env), newSecretRecipientsRemoveCmd(env))
}

func newSecretRecipientsAddCmd(env *Env) *cobra.Command {
	var site string
	var yes bool
	cmd := &cobra.Command{
		Use:   "add NAME RECIPIENT",
		Short: "Let a key read all files, or those of a site",
		Long: `Add a recipient to .sops.yaml and encrypt the data keys for it: of all files,
or with --site of that site's.

If it is interrupted, archipel secret rotate --recipients goes on.`,
		Example: `  archipel secret recipients add maria age1...
  archipel secret recipients add paul age1... --site site-a`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSecretRecipientsAdd(cmd.Context(), env, args[0], args[1], site, yes)
		},
	}
	cmd.Flags().StringVar(&site, "site", "", "the `site` whose files it opens (default: all)")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func runSecretRecipientsAdd(ctx context.Context, env *Env, name, recipient, site string, yes bool) error {
	var names []string
	if site != "" {
		names = []string{site}
	}
	scene, _, sites, err := openSecretFleet(env, names)
	if err != nil {
		return err
	}
	defer scene.Close()
	var only *fleet.Site
	what := "every file"
	if site != "" {
		only, what = sites[0], "the files of "+site
	}
	if err := agree(ctx, env, yes, "Let "+name+" read "+what+"?"); err != nil {
		return err
	}
	if err := secret.AddRecipient(scene.store, name, recipient, only); err != nil {
		return explainSecret(env, scene.keys, usageError{err})
	}
	fmt.Fprintln(env.Stdout, "wrote "+secret.RulesFile)
	return followRules(ctx, env, scene)
}

// followRules brings the files to what .sops.yaml says.
func followRules(ctx context.Context, env *Env, scene *secretScene) error {
	r := &secret.Rotator{Store: scene.store, Keys: scene.keys, Now: env.Now()}
	steps, err := r.Recipients(nil)
	if err == nil && len(steps) > 0 {
		err = runSteps(ctx, env, steps, true)
	}
	return explainSecret(env, scene.keys, err)
}

func newSecretRecipientsRemoveCmd(env *Env) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "remove NAME|RECIPIENT",
		Short: "Let a key no longer read what is written from now on",
		Long: `Take a recipient out of .sops.yaml and give the files that it opened new data
keys. What it could read before, it has read: Git keeps the old files. Change
the values as well when it must not know them any more.

If it is interrupted, archipel secret rotate --recipients goes on.`,
		Example: `  archipel secret recipients remove maria`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSecretRecipientsRemove(cmd.Context(), env, args[0], yes)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func runSecretRecipientsRemove(ctx context.Context, env *Env, who string, yes bool) error {
	scene, err := openSecrets(env)
	if err != nil {
		return err
	}
	defer scene.Close()
	if err := agree(ctx, env, yes, "Let "+who+" read nothing new?"); err != nil {
		return err
	}
	removed, err := secret.RemoveRecipient(scene.store, scene.keys.Identities, who)
	if err != nil {
		return explainSecret(env, scene.keys, usageError{err})
	}
	fmt.Fprintln(env.Stdout, "wrote "+secret.RulesFile)
	if err := followRules(ctx, env, scene); err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, "%s still knows the values it could read: archipel secret rotate --generated and archipel secret set change them\n", removed.Label())
	return nil
}
