package cli

import (
	"context"
	"fmt"

	"archipel/internal/bootstrap"

	"github.com/spf13/cobra"
)

func newResetCmd(env *Env) *cobra.Command {
	var flags hostFlags
	cmd := &cobra.Command{
		Use:   "reset SITE",
		Short: "Take k3s and all its data off the hosts of a site",
		Long: `Take everything off the hosts of a site that the bootstrap has put there: the
links and rules of Cilium first, then k3s and its data, and the link to the
other sites. All that the cluster held is lost, the snapshots on its servers
too: fetch one before, with archipel backup SITE --fetch.

No other site is touched. It asks for the site's name.`,
		Example:           `  archipel reset site-a`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeOneSite(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReset(cmd.Context(), env, args[0], flags)
		},
	}
	addHostFlags(cmd, &flags)
	addCheckFlag(cmd, &flags)
	return cmd
}

func runReset(ctx context.Context, env *Env, name string, flags hostFlags) error {
	scene, err := openHosts(ctx, env, []string{name}, flags)
	if err != nil {
		return err
	}
	defer scene.Close()
	site := scene.oneSite()
	question := fmt.Sprintf("This destroys the cluster of %s and its data on %s.\nType the site's name to go on: ", site.Name, plural(len(site.Hosts), "host"))
	if err := scene.agreeHosts(ctx, question, site.Name); err != nil {
		return err
	}
	outcome, err := scene.run(ctx, site, bootstrap.Play{Playbook: "reset", Variables: map[string]any{"site_name": site.Name}, Check: flags.check})
	if err != nil || !flags.check {
		return err
	}
	scene.progress.Stop()
	return scene.showChanges([]*siteReport{{Name: site.Name, Outcome: outcome}})
}
