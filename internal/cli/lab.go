package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"archipel/internal/fleet"
	"archipel/internal/lab"
	"archipel/internal/render"
	"archipel/internal/source"
	"archipel/internal/status"
	"archipel/internal/term"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

func newLabCmd(env *Env) *cobra.Command {
	var name string
	cmd := newGroupCmd("lab", "Run the sites of the fleet on this machine",
		`The lab runs this repository's tree, as it is, on this machine: for each site a
real control plane (etcd, kube-apiserver, kube-controller-manager, scheduler),
nodes simulated by kwok with the names and addresses of the inventory, and the
real Flux controllers. It needs no network, no containers and no root.

With --hosts it is the other half: containers with systemd and SSH as the nodes,
which archipel bootstrap takes to Ready as real machines. That needs root.

A proxy answers the production URLs from this machine, so that nothing in the
tree is changed for the lab. The secrets are the repository's when your age
identity opens them; otherwise the lab makes its own and encrypts them with
SOPS. Pods are simulated: they are Ready, and run nothing.

State lies under $XDG_STATE_HOME/archipel/lab, programs under
$XDG_CACHE_HOME/archipel/lab.`,
		newLabBuildCmd(env, &name), newLabUpCmd(env, &name), newLabSyncCmd(env, &name), newLabStatusCmd(env, &name),
		newLabVerifyCmd(env, &name), newLabLogsCmd(env, &name), newLabKubeconfigCmd(env, &name), newLabDownCmd(env, &name),
		newLabExecCmd(env, &name), newLabCutCmd(env, &name), newLabHealCmd(env, &name), newLabLossCmd(env, &name),
		newLabKillCmd(env, &name), newLabStartCmd(env, &name))
	cmd.PersistentFlags().StringVar(&name, "name", "", "`name` of the lab, to have several of one repository (default $ARCHIPEL_LAB, else one per checkout)")
	return cmd
}

// labName keeps the name usable as a folder.
var labName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func checkLabName(name string) error {
	if name != "" && !labName.MatchString(name) {
		return usageError{fmt.Errorf("%q cannot be the name of a lab: use letters, digits, dots, dashes and underscores, at most 63", name)}
	}
	return nil
}

// labScene is what every lab command works on.
type labScene struct {
	repository *source.Repository
	fleet      *fleet.Fleet
	sites      []*fleet.Site
	lab        *lab.Lab
}

func openLabScene(env *Env, name string, sites []string) (*labScene, error) {
	repository, f, err := openFleet(env)
	if err != nil {
		return nil, err
	}
	selected, err := selectSites(f, sites)
	if err != nil {
		repository.Close()
		return nil, err
	}
	l, err := openLab(env, repository, name)
	if err != nil {
		repository.Close()
		return nil, err
	}
	return &labScene{repository: repository, fleet: f, sites: selected, lab: l}, nil
}

// raisedSites are the lab's sites, or those of them that were asked for.
func (s *labScene) raisedSites(asked []string) ([]*fleet.Site, error) {
	if !s.lab.Exists() {
		return nil, hintError{errors.New("this repository has no lab"), "archipel lab up raises one"}
	}
	raised, err := s.lab.Sites()
	if err != nil {
		return nil, err
	}
	var sites []*fleet.Site
	for _, site := range s.sites {
		if slices.Contains(raised, site.Name) {
			sites = append(sites, site)
		} else if len(asked) > 0 {
			return nil, hintError{fmt.Errorf("the lab does not hold %s", site.Name), "archipel lab up " + site.Name + " raises it"}
		}
	}
	return sites, nil
}

func newLabBuildCmd(env *Env, name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Build the programs that the lab runs",
		Long: `Build etcd, Kubernetes, kwok, Flux's controllers and the lab's upstream server
from their Go modules, and pack the charts. This takes about 15 minutes on two
cores, once: the result is kept in the cache by content.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runLabBuild(cmd.Context(), env, *name)
		},
	}
}

func runLabBuild(ctx context.Context, env *Env, name string) error {
	scene, err := openLabScene(env, name, nil)
	if err != nil {
		return err
	}
	defer scene.repository.Close()
	_, err = buildLab(ctx, env, scene.lab)
	return err
}

// buildLab builds the lab's programs where the cache lacks them, and says so first.
func buildLab(ctx context.Context, env *Env, l *lab.Lab) (lab.Programs, error) {
	built, err := l.Built(ctx)
	if err != nil {
		return lab.Programs{}, err
	}
	if built {
		return l.Build(ctx, func(string) {})
	}
	fmt.Fprintln(env.Stderr, "Building the lab's programs (etcd, Kubernetes, kwok, Flux): about 15 minutes on 2 cores, once.")
	progress := term.NewProgress(env.Stderr, term.NewStyle(env.Stderr, env.Getenv), env.Now)
	defer progress.Stop()
	programs, err := l.Build(ctx, func(doing string) { progress.Set("build", doing) })
	if err != nil {
		progress.Fail("build", "failed")
		return programs, err
	}
	progress.Done("build", "the lab's programs are in the cache")
	return programs, nil
}

type labUpOptions struct {
	hostsUpOptions
	noWait  bool
	timeout time.Duration
}

func newLabUpCmd(env *Env, name *string) *cobra.Command {
	var options labUpOptions
	cmd := &cobra.Command{
		Use:   "up" + sitesUse,
		Short: "Raise sites, or repair and resume what is there",
		Long: `Raise sites of the fleet, all by default, wait until everything on them is ready
and show their status. What runs already is left alone, so running it again
repairs a lab. Ctrl-C stops what was started and leaves nothing.

With --hosts each node of the inventory is a container with systemd and SSH, in
a network of the lab's own with a router between the sites. archipel bootstrap
then works on them as on real machines. k3s is a stand-in that runs the real
control plane; --k3s names a folder, <folder>/<version>/k3s and what is released
beside it, or a URL like that of k3s's releases, for the real one: that was not
tried here. It needs root, podman, crun and mmdebstrap. The first time it builds
an image from the apt sources of this machine, which takes about 2 minutes.`,
		Example: `  archipel lab up
  archipel lab up site-a
  archipel lab up --hosts`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLabUp(cmd.Context(), env, *name, args, options)
		},
	}
	cmd.Flags().BoolVar(&options.noWait, "no-wait", false, "return as soon as Flux runs")
	cmd.Flags().DurationVar(&options.timeout, "timeout", 10*time.Minute, "longest `time` to wait until all is ready")
	addHostsUpFlags(cmd, &options.hostsUpOptions)
	return cmd
}

func runLabUp(ctx context.Context, env *Env, name string, names []string, options labUpOptions) error {
	if err := options.check(); err != nil {
		return err
	}
	scene, err := openLabScene(env, name, names)
	if err != nil {
		return err
	}
	defer scene.repository.Close()
	stale, err := staleFiles(scene.repository, scene.fleet, scene.fleet.Sites)
	if err != nil {
		return err
	}
	if len(stale) > 0 {
		return configError{hintError{
			fmt.Errorf("%s is not what the inventories say", stale[0].Path),
			"archipel site sync writes it",
		}}
	}
	for _, site := range scene.sites {
		if _, err := render.Root(scene.repository.FS(), site.Name); err != nil {
			return configError{err}
		}
	}
	if options.hosts {
		return runLabUpHosts(ctx, env, scene, options)
	}
	if scene.lab.OfHosts() {
		return otherKind(env, scene.lab)
	}
	programs, err := buildLab(ctx, env, scene.lab)
	if err != nil {
		return err
	}
	secrets := scene.lab.ChooseSecrets(scene.fleet, userIdentities(env))
	if secrets.Notice != "" {
		fmt.Fprintln(env.Stderr, term.Clean(secrets.Notice))
	}
	progress := term.NewProgress(env.Stderr, term.NewStyle(env.Stderr, env.Getenv), env.Now)
	defer progress.Stop()
	undo, err := scene.lab.Up(ctx, scene.fleet, scene.sites, scene.repository.FS(), secrets, programs, func(site, doing string) {
		switch {
		case site != "":
			progress.Set(site, doing)
		case doing == lab.Serving:
			progress.Done("lab", doing)
		default:
			progress.Set("lab", doing)
		}
	})
	if err != nil {
		return err
	}
	if options.noWait {
		for _, site := range scene.sites {
			progress.Done(site.Name, "Flux runs")
		}
		return nil
	}
	snapshot, late, err := waitReady(ctx, env, scene, progress, options.timeout)
	if errors.Is(err, context.Canceled) {
		progress.Print("stopping what was started")
		return errors.Join(err, undo())
	}
	if err != nil {
		return err
	}
	progress.Stop()
	if err := term.Snapshot(env.Stdout, snapshot, term.NewStyle(env.Stdout, env.Getenv)); err != nil {
		return err
	}
	if len(late) == 0 {
		fmt.Fprintf(env.Stderr, `
Try next:
  %[1]s status --watch    all sites, live
  %[1]s lab sync          after an edit under kubernetes/
  %[1]s lab down          leaves nothing but the cache
  KUBECONFIG=$(%[1]s lab kubeconfig) kubectl --context %[2]s get pods -A
`, env.Program, scene.sites[0].Name)
	}
	return lateError(env, late)
}

// lateError reports the sites that were not ready in time.
func lateError(env *Env, late []string) error {
	if len(late) == 0 {
		return nil
	}
	for _, line := range late {
		fmt.Fprintln(env.Stderr, "not ready in time:", line)
	}
	return statusError(exitFindings)
}

// waitReady makes Flux fetch the repository and waits until every site is ready
// at its revision, showing what is waited for and why. It fails when a program
// of the lab has died, because what it waits for would then never come. late
// has a line for each site that was not ready when the time was over.
func waitReady(ctx context.Context, env *Env, scene *labScene, progress *term.Progress, timeout time.Duration) (last status.Snapshot, late []string, err error) {
	for _, site := range scene.sites {
		if err := scene.lab.Died(site.Name); err != nil {
			return last, nil, err
		}
	}
	revisions, err := scene.lab.Sync(ctx, scene.fleet)
	if err != nil {
		return last, nil, err
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	group, groupCtx := errgroup.WithContext(limited)
	var fetched atomic.Int32
	var targets []status.Target
	for _, site := range scene.sites {
		progress.Set(site.Name, "waiting for Flux to fetch "+shortRevisions(revisions[site.Name]))
		group.Go(func() error {
			defer fetched.Add(1)
			return scene.lab.Reconcile(groupCtx, site.Name)
		})
		targets = append(targets, labTarget(scene.lab, site.Name))
	}
	var died error
	err = status.Watch(groupCtx, targets, status.Options{Now: env.Now}, time.Second, func(s status.Snapshot) bool {
		last, late = s, nil
		all := int(fetched.Load()) == len(scene.sites)
		for _, site := range s.Sites {
			if died = scene.lab.Died(site.Name); died != nil {
				return true
			}
			text, ready := progressOf(site, revisions[site.Name])
			if ready {
				progress.Done(site.Name, text)
			} else {
				all = false
				late = append(late, site.Name+": "+text)
				progress.Set(site.Name, text)
			}
		}
		return all
	})
	cancel()
	if died != nil || ctx.Err() != nil {
		return last, late, errors.Join(died, ctx.Err())
	}
	if failed := group.Wait(); failed != nil && !errors.Is(failed, context.Canceled) && !errors.Is(failed, context.DeadlineExceeded) {
		return last, late, failed
	}
	if errors.Is(err, context.DeadlineExceeded) {
		if len(late) == 0 {
			late = []string{"Flux has not fetched the working tree"}
		}
		return last, late, nil
	}
	return last, late, err
}

// progressOf says in one line how far a site is, and whether it is ready at a revision.
func progressOf(site status.Site, revision string) (string, bool) {
	if waiting := site.Waiting(); len(waiting) > 0 {
		return "waiting for " + shortRevisions(waiting[0]), false
	}
	if site.State != status.Ready {
		return "waiting: " + string(site.State), false
	}
	branch, _, _ := strings.Cut(revision, "@")
	for _, k := range site.Kustomizations {
		// A Kustomization of another source, such as Flux's own manifests, has a revision of its own.
		if strings.HasPrefix(k.Revision, branch+"@") && k.Revision != revision {
			return shortRevisions(fmt.Sprintf("waiting for %s: applied %s", k.Ref, k.Revision)), false
		}
	}
	if site.Revision != revision {
		return shortRevisions("waiting for GitRepository/flux-system: fetched " + site.Revision), false
	}
	return "ready", true
}

// shortRevisions writes the Git revisions in a text as people do: branch@1234567.
func shortRevisions(text string) string {
	return regexp.MustCompile(`@sha1:([0-9a-f]{7})[0-9a-f]{33}`).ReplaceAllString(text, "@$1")
}

func newLabSyncCmd(env *Env, name *string) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "sync" + sitesUse,
		Short: "Bring the sites to the working tree as it is now",
		Long: `Serve the working tree as it is now, uncommitted changes included, make Flux
fetch it, and wait until the sites are ready at it.`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLabSync(cmd.Context(), env, *name, args, timeout)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "longest `time` to wait until all is ready")
	return cmd
}

func runLabSync(ctx context.Context, env *Env, name string, names []string, timeout time.Duration) error {
	scene, err := openLabScene(env, name, names)
	if err != nil {
		return err
	}
	defer scene.repository.Close()
	if scene.sites, err = scene.raisedSites(names); err != nil {
		return err
	}
	progress := term.NewProgress(env.Stderr, term.NewStyle(env.Stderr, env.Getenv), env.Now)
	defer progress.Stop()
	snapshot, late, err := waitReady(ctx, env, scene, progress, timeout)
	if err != nil {
		return err
	}
	progress.Stop()
	if len(late) > 0 {
		if err := term.Snapshot(env.Stdout, snapshot, term.NewStyle(env.Stdout, env.Getenv)); err != nil {
			return err
		}
	}
	return lateError(env, late)
}

func newLabStatusCmd(env *Env, name *string) *cobra.Command {
	options := statusOptions{labOnly: true}
	cmd := &cobra.Command{
		Use:               "status" + sitesUse,
		Short:             "Show the lab's sites, whatever the kubeconfig says",
		Long:              `Like archipel status, for the sites of the lab.`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLabStatus(cmd.Context(), env, *name, args, options)
		},
	}
	addStatusFlags(cmd, &options)
	return cmd
}

func runLabStatus(ctx context.Context, env *Env, name string, names []string, options statusOptions) error {
	scene, err := openLabScene(env, name, names)
	if err != nil {
		return err
	}
	defer scene.repository.Close()
	if scene.sites, err = scene.raisedSites(names); err != nil {
		return err
	}
	if scene.lab.OfHosts() {
		if err := showFaults(env, scene); err != nil {
			return err
		}
	}
	targets, inLab, err := statusTargets(env, scene.sites, options, scene.lab)
	if err != nil {
		return err
	}
	return showStatus(ctx, env, targets, inLab, scene.lab, options)
}

type labLogsOptions struct {
	lines  int
	follow bool
}

func newLabLogsCmd(env *Env, name *string) *cobra.Command {
	var options labLogsOptions
	cmd := &cobra.Command{
		Use:   "logs [site [component]]",
		Short: "Print the logs of a site's programs",
		Long: `Print the logs of the programs of a site: all of them, or one component. Without
a site it is the log of the upstream server, which names every URL that was
asked for and refused.

` + strings.Join(term.Wrap("Components: "+strings.Join(lab.Components(), ", ")+". In a lab with hosts the components are the nodes, and the logs their journals.", helpWidth), "\n"),
		Example: `  archipel lab logs site-a kustomize-controller --follow
  archipel lab logs`,
		Args: cobra.MaximumNArgs(2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return lab.Components(), cobra.ShellCompDirectiveNoFileComp
			}
			return completeSites(env)(cmd, args, prefix)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLabLogs(cmd.Context(), env, *name, args, options)
		},
	}
	cmd.Flags().IntVar(&options.lines, "tail", 20, "`lines` of each log, from its end")
	cmd.Flags().BoolVarP(&options.follow, "follow", "f", false, "go on as the log grows (one component only)")
	return cmd
}

func runLabLogs(ctx context.Context, env *Env, name string, args []string, options labLogsOptions) error {
	scene, err := openLabScene(env, name, args[:min(len(args), 1)])
	if err != nil {
		return err
	}
	defer scene.repository.Close()
	if _, err := scene.raisedSites(args[:min(len(args), 1)]); err != nil {
		return err
	}
	if len(args) > 0 && scene.lab.OfHosts() {
		nodes := args[1:]
		if len(nodes) == 0 {
			nodes = nodesOf(env, args[0])
		}
		return hostLogs(ctx, env, scene, nodes, options)
	}
	var files []string
	switch len(args) {
	case 0:
		files = []string{scene.lab.LogFile("", "upstream")}
	case 1:
		for _, component := range lab.Components() {
			files = append(files, scene.lab.LogFile(args[0], component))
		}
	default:
		if !slices.Contains(lab.Components(), args[1]) {
			return usageError{fmt.Errorf("unknown component %q: there are %s", args[1], strings.Join(lab.Components(), ", "))}
		}
		files = []string{scene.lab.LogFile(args[0], args[1])}
	}
	if options.follow && len(files) > 1 {
		return usageError{errors.New("--follow needs one component")}
	}
	for _, file := range files {
		if len(files) > 1 {
			fmt.Fprintf(env.Stdout, "==> %s <==\n", strings.TrimSuffix(filepath.Base(file), ".log"))
		}
		for _, line := range lab.Tail(file, options.lines) {
			fmt.Fprintln(env.Stdout, term.Clean(line))
		}
	}
	if options.follow {
		return follow(ctx, env.Stdout, files[0])
	}
	return nil
}

// follow copies what is added to a file until ctx ends. A file that shrinks was
// started anew.
func follow(ctx context.Context, w io.Writer, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("following the log: %w", err)
	}
	defer file.Close()
	offset, err := file.Seek(0, io.SeekEnd)
	for err == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		var info os.FileInfo
		if info, err = file.Stat(); err != nil {
			break
		}
		if info.Size() < offset {
			offset, err = file.Seek(0, io.SeekStart)
			continue
		}
		var copied int64
		copied, err = io.Copy(w, file)
		offset += copied
	}
	return fmt.Errorf("following the log: %w", err)
}

func newLabKubeconfigCmd(env *Env, name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the lab's kubeconfig",
		Long: `Print the path of a kubeconfig with one context per site of the lab, named like
the site.`,
		Example: `  export KUBECONFIG=$(archipel lab kubeconfig)
  kubectl --context site-a get nodes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runLabKubeconfig(cmd.Context(), env, *name)
		},
	}
}

func runLabKubeconfig(ctx context.Context, env *Env, name string) error {
	scene, err := openLabScene(env, name, nil)
	if err != nil {
		return err
	}
	defer scene.repository.Close()
	if _, err := scene.raisedSites(nil); err != nil {
		return err
	}
	if scene.lab.OfHosts() {
		if err := fetchKubeconfigs(ctx, env, scene); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(env.Stdout, scene.lab.Kubeconfig())
	return err
}

func newLabDownCmd(env *Env, name *string) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "down" + sitesUse,
		Short: "Stop sites and remove their state",
		Long: `Stop sites of the lab, all by default, and remove their state. Nothing is left
but the programs in the cache.

With --keep the state stays, and archipel lab up resumes from it.`,
		ValidArgsFunction: completeSites(env),
		RunE: func(_ *cobra.Command, args []string) error {
			return runLabDown(env, *name, args, keep)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the state for the next lab up")
	return cmd
}

// runLabDown works on a broken inventory too: a lab must always be able to stop.
func runLabDown(env *Env, name string, sites []string, keep bool) error {
	repository, err := source.Open(env.Dir)
	if err != nil {
		return configError{err}
	}
	defer repository.Close()
	l, err := openLab(env, repository, name)
	if err != nil {
		return err
	}
	if !l.Exists() && len(sites) == 0 {
		if err := l.Down(nil, false); err != nil { // what a killed up may have left
			return err
		}
		_, err := fmt.Fprintln(env.Stdout, "no lab is up")
		return err
	}
	raised, err := l.Sites()
	if err != nil {
		return err
	}
	for _, site := range sites {
		if !slices.Contains(raised, site) {
			return usageError{fmt.Errorf("the lab does not hold %q: it holds %s", site, strings.Join(raised, ", "))}
		}
	}
	if len(sites) == 0 {
		sites = raised
	}
	if err := l.Down(sites, keep); err != nil {
		return err
	}
	what := "stopped and removed"
	if keep {
		what = "stopped, state kept"
	}
	_, err = fmt.Fprintf(env.Stdout, "%s: %s\n", strings.Join(sites, ", "), what)
	return err
}
