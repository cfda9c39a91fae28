package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"archipel/internal/term"
	"archipel/internal/terraform"
	"archipel/internal/tool"

	"github.com/spf13/cobra"
)

type applyOptions struct {
	infraFlags
	yes bool
}

func newApplyCmd(env *Env) *cobra.Command {
	var options applyOptions
	cmd := &cobra.Command{
		Use:   "apply SITE",
		Short: "Change the infrastructure of a site as planned",
		Long: `Apply the plan of a site that archipel plan has shown, and nothing else. A plan
is refused when the inventory, the Terraform tree, the tool or the state has
changed since, and when it is older than a day. Where there is no plan, one is
made and shown.

It asks first, and for the site's name when something is destroyed. Ctrl-C
reaches the tool once: it finishes what is under way, writes the state and frees
the lock.`,
		Example: `  archipel apply site-a
  archipel apply site-a --yes`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeOneSite(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runApply(cmd.Context(), env, args[0], options)
		},
	}
	addInfraFlags(cmd, &options.infraFlags)
	cmd.Flags().BoolVarP(&options.yes, "yes", "y", false, "do not ask")
	return cmd
}

func runApply(ctx context.Context, env *Env, site string, options applyOptions) error {
	scene, err := openInfra(ctx, env, []string{site}, options.infraFlags)
	if err != nil {
		return err
	}
	defer scene.Close()
	workspaces, err := scene.workspaces(ctx, options.infraFlags)
	if err != nil {
		return err
	}
	w := workspaces[0]
	release, err := w.Lock(scene.who())
	if err != nil {
		return scene.explainInfra(site, err)
	}
	defer release()
	kept, err := w.Load(env.Now())
	if err != nil {
		return scene.explainInfra(site, err)
	}
	newProgress := func() *term.Progress {
		return term.NewProgress(env.Stderr, term.NewStyle(env.Stderr, env.Getenv), env.Now)
	}
	if kept == nil {
		scene.progress = newProgress()
		kept, err = scene.planLocked(ctx, w)
		scene.progress.Stop()
		if err != nil {
			return scene.explainInfra(site, err)
		}
	}
	// The same words as those of archipel plan: it is the same plan.
	if err := writePlan(env, []terraform.Result{{Site: site, Summary: kept.Summary}}, outputText); err != nil {
		return err
	}
	if !kept.Summary.Any() {
		return w.Discard()
	}
	if err := scene.agreeApply(ctx, kept, options.yes); err != nil {
		return err
	}
	// init once more costs nothing when it was run, and the folder may be gone since.
	if err := w.Init(ctx); err != nil {
		return scene.explainInfra(site, err)
	}
	scene.progress = newProgress()
	w.Progress = scene.progress
	stop := context.AfterFunc(ctx, func() {
		scene.progress.Print("interrupted: waiting until what is under way is finished, and the state is written")
	})
	done, err := w.Apply(ctx, kept)
	stop()
	what := fmt.Sprintf("%d created, %d changed, %d destroyed", done.Created, done.Changed, done.Destroyed)
	if err != nil {
		scene.progress.Fail(site, what)
		scene.progress.Stop()
		if ctx.Err() != nil {
			scene.afterInterrupt(context.WithoutCancel(ctx), site)
			return ctx.Err()
		}
		return scene.explainApply(site, err)
	}
	scene.progress.Done(site, what)
	scene.progress.Stop()
	fmt.Fprintf(env.Stderr, "next: %s bootstrap %s\n", env.Program, site)
	return nil
}

// agreeApply asks before machines are changed.
func (s *infraScene) agreeApply(ctx context.Context, kept *terraform.Kept, yes bool) error {
	site := kept.Summary.Site
	question := fmt.Sprintf("apply this to %s, as planned at %s? [y/N] ", site, kept.Made.In(time.Local).Format("15:04:05"))
	wanted := []string{"y", "yes"}
	if kept.Summary.Loses() {
		question = fmt.Sprintf("This destroys %s at %s, as planned at %s.\nType the site's name to go on: ",
			plural(kept.Summary.Destroy+kept.Summary.Replace, "resource"), site, kept.Made.In(time.Local).Format("15:04:05"))
		wanted = []string{site}
	}
	return agreeWith(ctx, s.env, yes, "this changes machines", question, wanted...)
}

// explainApply says what is left after an apply that failed.
func (s *infraScene) explainApply(site string, err error) error {
	if _, ok := errors.AsType[*terraform.Failure](err); ok {
		return hintError{err, "what was done is in the state; archipel plan " + site + " shows what is left"}
	}
	if _, ok := errors.AsType[*tool.ExitError](err); ok { // it was killed, or did not say why it failed
		return hintError{fmt.Errorf("%s ended before it was done: %w", site, err), "archipel state doctor " + site + " says whether the lock is left; then archipel plan " + site + " shows what is left to do"}
	}
	return s.explainInfra(site, err)
}

// afterInterrupt says whether the lock was left free.
func (s *infraScene) afterInterrupt(ctx context.Context, site string) {
	fmt.Fprintf(s.env.Stderr, "what was done is in the state; %s plan %s shows what is left\n", s.env.Program, site)
	if s.store == nil {
		return
	}
	if locks, err := s.store.Locks(ctx, terraform.Key(site)); err == nil && len(locks) > 0 {
		fmt.Fprintf(s.env.Stderr, "the state of %s is still locked: %s state doctor %s\n", site, s.env.Program, site)
	}
}
