package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"archipel/internal/source"
	"archipel/internal/store"
	"archipel/internal/terraform"

	"github.com/spf13/cobra"
)

func newStateCmd(env *Env) *cobra.Command {
	return newGroupCmd("state", "Look after where Terraform keeps its states",
		`A site's state is an object of the bucket that kubernetes/terraform/backend.hcl
names; it says which machines are the site's. One lock per state keeps two
people from changing a site at the same time.`,
		newGroupCmd("backend", "Make the store of states", `Make what states and locks are kept in.`, newStateInitCmd(env)),
		newStateDoctorCmd(env),
		newStateMigrateCmd(env),
	)
}

// openState opens the repository for commands that use the store and not the tool.
func openState(env *Env, names []string, flags infraFlags) (*infraScene, error) {
	repository, f, err := openFleet(env)
	if err != nil {
		return nil, err
	}
	s := &infraScene{env: env, repository: repository, fleet: f}
	if s.sites, err = selectSites(f, names); err == nil {
		s.backendPath, err = backendPath(env, repository, flags)
	}
	if err == nil {
		err = s.openBackend()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// backendPath is the file that says where states are kept.
func backendPath(env *Env, repository *source.Repository, flags infraFlags) (string, error) {
	name := flags.backend
	if name == "" {
		name = env.Getenv("ARCHIPEL_BACKEND")
	}
	if name == "" {
		name = filepath.Join(repository.Root(), filepath.FromSlash(backendFile))
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return "", fmt.Errorf("finding the backend's file: %w", err)
	}
	return path, nil
}

func newStateInitCmd(env *Env) *cobra.Command {
	var flags infraFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the bucket and the lock table",
		Long: `Make the bucket that backend.hcl names, and the lock table when it names one.
The bucket keeps earlier versions of a state, encrypts it, and is open to nobody
else. What is there already stays; what a store does not offer is said.`,
		Example: `  archipel state backend init`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStateInit(cmd.Context(), env, flags)
		},
	}
	addBackendFlag(cmd, &flags)
	return cmd
}

func runStateInit(ctx context.Context, env *Env, flags infraFlags) error {
	scene, err := openState(env, nil, flags)
	if err != nil {
		return err
	}
	defer scene.Close()
	if err := scene.openStore(ctx); err != nil {
		return err
	}
	missing := false
	err = scene.store.Init(ctx, func(step store.Step) {
		word := "is there"
		switch {
		case step.Missing != "":
			word, missing = "no: "+step.Missing, true
		case step.Changed:
			word = "made"
		}
		if !strings.Contains(step.What, " ") || step.What == "versions are kept" { // a property of the bucket
			word = strings.NewReplacer("is there", "already", "made", "now").Replace(word)
		}
		fmt.Fprintf(env.Stdout, "%s: %s\n", step.What, word)
	})
	if err != nil {
		return scene.explainStore(err)
	}
	if missing {
		fmt.Fprintln(env.Stderr, "hint: what the store does not offer, its owner must see to; archipel state doctor shows what matters")
	}
	if scene.backend.Lock() == terraform.NoLock {
		fmt.Fprintf(env.Stderr, "warning: %s names neither dynamodb_table nor use_lockfile: nothing keeps two people from one state\n", scene.backendPath)
	}
	return nil
}
