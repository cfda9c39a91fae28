package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"archipel/internal/bootstrap"

	"github.com/spf13/cobra"
)

type backupOptions struct {
	hostFlags
	name, fetch, output string
	list                bool
}

func newBackupCmd(env *Env) *cobra.Command {
	var options backupOptions
	cmd := &cobra.Command{
		Use:   "backup SITE",
		Short: "Take a snapshot of a site's etcd",
		Long: `Take a snapshot of etcd on the first server of a site, and copy it to S3 where
the inventory configures that. --fetch copies it here too.

A snapshot is of no use without the token of its k3s, which stands encrypted in
the site's secrets.sops.yml. It holds every Secret of the cluster: k3s encrypts
them in etcd, with a key that is part of the snapshot.`,
		Example: `  archipel backup site-a
  archipel backup site-a --name before-upgrade --fetch ~/backups
  archipel backup site-a --list`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeOneSite(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBackup(cmd.Context(), env, args[0], options)
		},
	}
	addOutputFlag(cmd, &options.output)
	cmd.Flags().StringArrayVar(&options.inventories, "inventory", nil, "`file` of further variables for Ansible; may be repeated (default $ARCHIPEL_INVENTORY)")
	cmd.Flags().StringVar(&options.name, "name", "", "begin the snapshot's `name` so (default archipel)")
	cmd.Flags().StringVar(&options.fetch, "fetch", "", "copy it into this `folder` too")
	cmd.Flags().BoolVar(&options.list, "list", false, "list the snapshots on the first server, and take none")
	return cmd
}

func runBackup(ctx context.Context, env *Env, name string, options backupOptions) error {
	if options.name == "" {
		options.name = "archipel"
	}
	if !bootstrap.SnapshotName(options.name) || len(options.name) > 100 {
		return usageError{fmt.Errorf("%q cannot be the name of a snapshot: use letters, digits, dots, dashes and underscores", options.name)}
	}
	scene, err := openHosts(ctx, env, []string{name}, options.hostFlags)
	if err != nil {
		return err
	}
	defer scene.Close()
	site := scene.oneSite()
	first := site.Servers()[0]
	before, err := scene.ansible.Snapshots(ctx, first)
	if err != nil {
		return scene.explain(site, err)
	}
	if options.list {
		scene.progress.Stop()
		return showSnapshots(env, before, options.output)
	}
	secrets, err := scene.secrets(site.Name)
	if err != nil {
		return err
	}
	play := bootstrap.Play{Playbook: "snapshot", Secrets: secrets.Variables, Variables: map[string]any{"site_name": site.Name, "k3s_snapshot_name": options.name}}
	if _, err := scene.run(ctx, site, play); err != nil {
		return err
	}
	after, err := scene.ansible.Snapshots(ctx, first)
	if err != nil {
		return scene.explain(site, err)
	}
	taken := slices.DeleteFunc(after, func(s string) bool { return slices.Contains(before, s) || !strings.HasPrefix(s, options.name) })
	if len(taken) == 0 {
		return fmt.Errorf("%s has no new snapshot in %s", first.Name, bootstrap.SnapshotPath(""))
	}
	if options.fetch != "" {
		if err := scene.fetch(ctx, site, taken[0], options.fetch); err != nil {
			return err
		}
	}
	scene.progress.Stop()
	if err := showSnapshots(env, taken[:1], options.output); err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, "\nTry next:\n  %s restore %s %s\n", env.Program, site.Name, taken[0])
	return nil
}

func showSnapshots(env *Env, names []string, output string) error {
	if output == outputJSON {
		return writeJSON(env.Stdout, map[string]any{"snapshots": slices.Concat([]string{}, names)})
	}
	for _, name := range names {
		if _, err := fmt.Fprintln(env.Stdout, name); err != nil {
			return err
		}
	}
	return nil
}

// fetch copies a snapshot here, whole or not at all.
func (s *hostScene) fetch(ctx context.Context, site *bootstrap.Site, name, dir string) (err error) {
	s.progress.Set(site.Name, "fetching "+name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("fetching the snapshot: %w", err)
	}
	file, err := os.CreateTemp(dir, ".snapshot-*") // mode 0600
	if err != nil {
		return fmt.Errorf("fetching the snapshot: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	err = s.ansible.Download(ctx, site.Servers()[0], file, "sudo", "-n", "--", "cat", bootstrap.SnapshotPath(name))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("fetching the snapshot: %w", err)
	}
	if err := os.Rename(file.Name(), filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("fetching the snapshot: %w", err)
	}
	s.progress.Done(site.Name, "fetched to "+filepath.Join(dir, name))
	return nil
}
