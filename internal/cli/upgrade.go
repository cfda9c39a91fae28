package cli

import (
	"context"
	"fmt"
	"strings"

	"archipel/internal/bootstrap"

	"github.com/spf13/cobra"
)

type upgradeOptions struct {
	hostFlags
	limit []string
}

func newUpgradeCmd(env *Env) *cobra.Command {
	var options upgradeOptions
	cmd := &cobra.Command{
		Use:   "upgrade" + sitesUse,
		Short: "Bring sites to the version of k3s that Git says",
		Long: `Bring the nodes of sites to the fact k3s_version: servers one at a time, each
drained, upgraded, and waited for until it is Ready and a voter of etcd again,
then the agents. One site follows the other, and only when it is ready.

What runs is asked first. Refused is a version older than what a node runs, one
that leaves a minor version out, and one by which an agent would become newer
than a server.`,
		Example:           `  archipel upgrade site-a`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runUpgrade(cmd.Context(), env, args, options)
		},
	}
	addHostFlags(cmd, &options.hostFlags)
	addCheckFlag(cmd, &options.hostFlags)
	addTimeoutFlag(cmd, &options.hostFlags)
	cmd.Flags().StringSliceVar(&options.limit, "limit", nil, "only this `node`; may be repeated")
	return cmd
}

func runUpgrade(ctx context.Context, env *Env, names []string, options upgradeOptions) error {
	if err := checkSites(names, false); err != nil {
		return err
	}
	scene, err := openHosts(ctx, env, names, options.hostFlags)
	if err != nil {
		return err
	}
	defer scene.Close()
	if err := scene.checkLimit(options.limit); err != nil {
		return err
	}
	for _, site := range scene.sites {
		if err := scene.checkUpgrade(ctx, site, options.limit); err != nil {
			return err
		}
	}
	var what []string
	for _, site := range scene.sites {
		what = append(what, fmt.Sprintf("%s to %s", site.Name, site.Facts.K3sVersion))
	}
	if err := scene.agreeHosts(ctx, "upgrade "+strings.Join(what, ", then ")+"?"); err != nil {
		return err
	}
	var reports []*siteReport
	for _, site := range scene.sites {
		secrets, err := scene.secrets(site.Name)
		if err != nil {
			return err
		}
		play := bootstrap.Play{Playbook: "upgrade", Secrets: secrets.Variables, Variables: map[string]any{"site_name": site.Name}, Limit: options.limit, Check: options.check}
		outcome, err := scene.run(ctx, site, play)
		if err != nil {
			return err
		}
		if options.check {
			reports = append(reports, &siteReport{Name: site.Name, Outcome: outcome})
			continue
		}
		_, late, err := scene.wait(ctx, site)
		if err != nil {
			return err
		}
		if late != "" { // the next one might be lost the same way
			scene.progress.Stop()
			return lateError(env, []string{site.Name + ": " + late})
		}
	}
	if options.check {
		scene.progress.Stop()
		return scene.showChanges(reports)
	}
	return nil
}

// checkUpgrade refuses a version that the nodes of a site must not be brought to.
func (s *hostScene) checkUpgrade(ctx context.Context, site *bootstrap.Site, limit []string) error {
	s.progress.Set(site.Name, "asking for the versions that run")
	nodes, err := s.nodes(ctx, site)
	if err != nil {
		s.progress.Fail(site.Name, "failed")
		return err
	}
	reasons := bootstrap.CheckUpgrade(nodes, site.Facts.K3sVersion, limit)
	if len(reasons) == 0 {
		s.progress.Done(site.Name, "may be upgraded to "+site.Facts.K3sVersion)
		return nil
	}
	s.progress.Fail(site.Name, "must not be upgraded")
	return configError{hintError{fmt.Errorf("%s is not upgraded: %s", site.Name, strings.Join(reasons, "; ")), "set k3s_version in kubernetes/ansible/inventories, and commit it"}}
}
