package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"archipel/internal/bootstrap"

	"github.com/spf13/cobra"
)

type restoreOptions struct {
	hostFlags
	s3 bool
}

func newRestoreCmd(env *Env) *cobra.Command {
	var options restoreOptions
	cmd := &cobra.Command{
		Use:   "restore SITE SNAPSHOT",
		Short: "Take a site's etcd back to a snapshot",
		Long: `Stop the servers of a site, restore a snapshot on the first of them, and let the
others join it anew. What the cluster has been told since the snapshot is lost,
until Flux applies it again from Git.

SNAPSHOT is a name on the first server (archipel backup SITE --list), a file
here, or with --s3 a name in the site's bucket. The token of k3s, without which
no snapshot can be restored, comes from the site's secrets.sops.yml.

It asks for the site's name.`,
		Example: `  archipel restore site-a before-upgrade-site-a-server-1-1790000000
  archipel restore site-a ~/backups/before-upgrade-site-a-server-1-1790000000`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return completeOneSite(env)(cmd, args, prefix)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRestore(cmd.Context(), env, args[0], args[1], options)
		},
	}
	addHostFlags(cmd, &options.hostFlags)
	addTimeoutFlag(cmd, &options.hostFlags)
	cmd.Flags().BoolVar(&options.s3, "s3", false, "take the snapshot from the bucket that the inventory configures")
	return cmd
}

func runRestore(ctx context.Context, env *Env, name, snapshot string, options restoreOptions) error {
	file, err := snapshotFile(snapshot, options.s3)
	if err != nil {
		return err
	}
	scene, err := openHosts(ctx, env, []string{name}, options.hostFlags)
	if err != nil {
		return err
	}
	defer scene.Close()
	site := scene.oneSite()
	variables := map[string]any{"site_name": site.Name}
	switch {
	case file != "":
		variables["k3s_restore_upload"] = file
		variables["k3s_restore_snapshot"] = bootstrap.SnapshotPath(filepath.Base(file))
	case options.s3:
		variables["k3s_restore_snapshot"] = snapshot
	default:
		known, err := scene.ansible.Snapshots(ctx, site.Servers()[0])
		if err != nil {
			return scene.explain(site, err)
		}
		if !slices.Contains(known, snapshot) {
			hint := "there is none; give a file, or --s3"
			if len(known) > 0 {
				hint = "it has " + shortList(known)
			}
			return hintError{usageError{fmt.Errorf("%s has no snapshot %q", site.Servers()[0].Name, snapshot)}, hint}
		}
		variables["k3s_restore_snapshot"] = bootstrap.SnapshotPath(snapshot)
	}
	secrets, err := scene.secrets(site.Name)
	if err != nil {
		return err
	}
	question := fmt.Sprintf("This takes the cluster of %s back to %s; what came after is lost.\nType the site's name to go on: ", site.Name, filepath.Base(snapshot))
	if err := scene.agreeHosts(ctx, question, site.Name); err != nil {
		return err
	}
	if _, err := scene.run(ctx, site, bootstrap.Play{Playbook: "restore", Secrets: secrets.Variables, Variables: variables}); err != nil {
		return err
	}
	_, late, err := scene.wait(ctx, site)
	if err != nil {
		return err
	}
	scene.progress.Stop()
	if late != "" {
		return lateError(env, []string{site.Name + ": " + late})
	}
	return nil
}

// snapshotFile is the absolute path of a snapshot that lies here, "" for a name.
func snapshotFile(snapshot string, s3 bool) (string, error) {
	if !strings.Contains(snapshot, "/") {
		if !bootstrap.SnapshotName(snapshot) {
			return "", usageError{fmt.Errorf("%q cannot be the name of a snapshot", snapshot)}
		}
		return "", nil
	}
	if s3 {
		return "", usageError{fmt.Errorf("%s is a file, and --s3 takes a name", snapshot)}
	}
	info, err := os.Stat(snapshot)
	if err != nil {
		return "", usageError{fmt.Errorf("reading the snapshot: %w", err)}
	}
	if !info.Mode().IsRegular() || !bootstrap.SnapshotName(filepath.Base(snapshot)) {
		return "", usageError{fmt.Errorf("%s is no snapshot: it must be a file with a name of letters, digits, dots, dashes and underscores", snapshot)}
	}
	return filepath.Abs(snapshot)
}
