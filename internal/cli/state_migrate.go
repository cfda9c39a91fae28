package cli

import (
	"context"
	"crypto/rand"
	"fmt"

	"archipel/internal/store"
	"archipel/internal/terraform"

	"github.com/spf13/cobra"
)

type migrateOptions struct {
	infraFlags
	yes bool
}

func newStateMigrateCmd(env *Env) *cobra.Command {
	var options migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate-lock",
		Short: "Move the locks from DynamoDB to lock files, step by step",
		Long: `Take the fleet one step further from a lock table to lock files beside the
states, by changing kubernetes/terraform/backend.hcl:

  dynamodb_table                    1. only the table locks
  dynamodb_table and use_lockfile   2. both lock, so that nobody who still has
                                       step 1 is alone
  use_lockfile                      3. only the lock file locks

Each call takes one step, and where it stands is in the file: commit it, and let
everybody who applies have it, before the next. A step is taken only when no
state is locked, and when the store honours conditional writes.`,
		Example: `  archipel state migrate-lock`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStateMigrate(cmd.Context(), env, options)
		},
	}
	addBackendFlag(cmd, &options.infraFlags)
	cmd.Flags().BoolVarP(&options.yes, "yes", "y", false, "do not ask")
	return cmd
}

func runStateMigrate(ctx context.Context, env *Env, options migrateOptions) error {
	scene, err := openState(env, nil, options.infraFlags)
	if err != nil {
		return err
	}
	defer scene.Close()
	content, next, err := scene.backend.Next()
	if err != nil {
		return configError{err}
	}
	now := scene.backend.Lock()
	if now == terraform.Lockfile {
		fmt.Fprintln(env.Stderr, "the lock files lock already, alone; nothing is left to do")
		return nil
	}
	if err := scene.readyStore(ctx); err != nil {
		return err
	}
	if err := scene.mayMigrate(ctx); err != nil {
		return err
	}
	question := fmt.Sprintf("%s -> %s in %s? [y/N] ", now, next, scene.backendPath)
	if now == terraform.Both {
		question = "Whoever still applies from a commit before the step to both would no longer be kept out.\n" + question
	}
	if err := agreeWith(ctx, env, options.yes, "this changes how states are locked", question, "y", "yes"); err != nil {
		return err
	}
	const mode = 0o644
	if err := replaceFile(scene.backendPath, content, mode); err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, "%s: locks %s, before: %s\n", scene.backendPath, next, now)
	if next == terraform.Both {
		fmt.Fprintf(env.Stderr, "next: commit it; once everybody who applies has it: %s state migrate-lock\n", env.Program)
		return nil
	}
	fmt.Fprintf(env.Stderr, "next: commit it; the table %s can be removed once everybody has it\n", scene.backend.Table)
	return nil
}

// mayMigrate refuses a step while a state is locked, or on a store whose lock files lock nothing.
func (s *infraScene) mayMigrate(ctx context.Context) error {
	reason, err := s.store.Honours(ctx, ".archipel/probe-"+rand.Text())
	if err != nil {
		return s.explainStore(err)
	}
	if reason != "" {
		return hintError{&store.Error{Reason: store.Unsupported, Doing: "trying whether a lock file would lock", Err: fmt.Errorf("%s: %s", s.store, reason)},
			"stay with dynamodb_table on this store"}
	}
	for _, site := range s.sites {
		locks, err := s.store.Locks(ctx, terraform.Key(site.Name))
		if err != nil {
			return s.explainStore(err)
		}
		if len(locks) > 0 {
			return hintError{fmt.Errorf("the state of %s is locked by %s", site.Name, locks[0].Who), "wait for it; if it does not run any more: archipel state doctor " + site.Name}
		}
	}
	return nil
}
