package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"archipel/internal/lab"
	"archipel/internal/lab/hosts"
	"archipel/internal/term"
	"archipel/internal/tool"

	"github.com/spf13/cobra"
)

// hostsUpOptions are those of archipel lab up --hosts.
type hostsUpOptions struct {
	hosts       bool
	noBootstrap bool
	k3s         string
}

func addHostsUpFlags(cmd *cobra.Command, options *hostsUpOptions) {
	cmd.Flags().BoolVar(&options.hosts, "hosts", false, "raise hosts with SSH and bootstrap them as real ones")
	cmd.Flags().BoolVar(&options.noBootstrap, "no-bootstrap", false, "with --hosts: leave the hosts bare")
	cmd.Flags().StringVar(&options.k3s, "k3s", "", "with --hosts: take the real k3s from this `folder or URL` (see above)")
}

func (o hostsUpOptions) check() error {
	if !o.hosts && (o.noBootstrap || o.k3s != "") {
		return usageError{errors.New("--no-bootstrap and --k3s belong to --hosts")}
	}
	return nil
}

// source returns where k3s comes from.
func (o hostsUpOptions) source() (lab.K3s, error) {
	if o.k3s == "" {
		return lab.K3s{}, nil
	}
	if strings.HasPrefix(o.k3s, "https://") || strings.HasPrefix(o.k3s, "http://") {
		return lab.K3s{URL: o.k3s}, nil
	}
	dir, err := filepath.Abs(o.k3s)
	if err == nil {
		_, err = os.Stat(dir)
	}
	if err != nil {
		return lab.K3s{}, usageError{fmt.Errorf("finding k3s: %w", err)}
	}
	return lab.K3s{Dir: dir}, nil
}

// runLabUpHosts raises hosts, then bootstraps them with this very program, among
// the hosts, as on real ones.
func runLabUpHosts(ctx context.Context, env *Env, scene *labScene, options labUpOptions) error {
	k3s, err := options.source()
	if err != nil {
		return err
	}
	if err := hosts.Check(); err != nil {
		return configError{err}
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
	image, err := scene.lab.HostsImage(ctx, func(doing string) { progress.Set("image", doing) })
	if err != nil {
		progress.Fail("image", "failed")
		return err
	}
	progress.Done("image", "the image of the hosts is in the cache")
	err = scene.lab.UpHosts(ctx, scene.fleet, scene.sites, secrets, programs, image, k3s, func(site, doing string) {
		switch {
		case site != "":
			progress.Set(site, doing)
		case doing == lab.Serving:
			progress.Done("lab", doing)
		default:
			progress.Set("lab", doing)
		}
	})
	if errors.Is(err, lab.ErrOtherKind) {
		return otherKind(env, scene.lab)
	}
	if err != nil {
		return err
	}
	var names []string
	for _, site := range scene.sites {
		progress.Done(site.Name, plural(len(site.Nodes), "host")+" answer over SSH")
		names = append(names, site.Name)
	}
	progress.Stop()
	if options.noBootstrap {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	command := append([]string{program, "bootstrap"}, names...)
	if err := execInLab(ctx, env, scene, append(command, "--yes", "--timeout="+options.timeout.String())); err != nil {
		return err
	}
	return fetchKubeconfigs(ctx, env, scene)
}

// otherKind says that the lab is simulated and hosts were asked for, or the reverse.
func otherKind(env *Env, l *lab.Lab) error {
	kind := "simulated nodes"
	if l.OfHosts() {
		kind = "hosts"
	}
	return hintError{fmt.Errorf("the lab %s holds sites with %s", l.Name(), kind),
		env.Program + " lab down removes them; --name keeps a second lab beside them"}
}

// fetchKubeconfigs brings the lab's kubeconfig up to date.
func fetchKubeconfigs(ctx context.Context, env *Env, scene *labScene) error {
	without, err := scene.lab.FetchKubeconfigs(ctx, scene.fleet)
	for _, site := range without {
		fmt.Fprintf(env.Stderr, "%s has no cluster yet, or its first server does not answer\n", site)
	}
	return err
}

// openHostScene is openLabScene for commands on a lab with hosts.
func openHostScene(env *Env, name string) (*labScene, error) {
	scene, err := openLabScene(env, name, nil)
	if err != nil {
		return nil, err
	}
	if !scene.lab.OfHosts() {
		scene.repository.Close()
		return nil, hintError{errors.New("there is no lab with hosts"), "archipel lab up --hosts raises one"}
	}
	return scene, nil
}

func newLabExecCmd(env *Env, name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "exec -- command [argument...]",
		Short: "Run a command among the hosts of the lab",
		Long: `Run a command in the network of a lab with hosts, where the hosts have their
addresses of the inventory, in the tree that their sites are made from: the
repository, or a copy of it with secrets of the lab's own. The environment says
the rest: $ARCHIPEL_INVENTORY, $KUBECONFIG, and a proxy that answers the
production URLs. The exit code is that of the command.`,
		Example: `  archipel lab exec -- archipel bootstrap site-a --check
  archipel lab exec -- archipel node list
  archipel lab exec -- bash`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLabExec(cmd.Context(), env, *name, args)
		},
	}
}

func runLabExec(ctx context.Context, env *Env, name string, command []string) error {
	scene, err := openHostScene(env, name)
	if err != nil {
		return err
	}
	defer scene.repository.Close()
	return execInLab(ctx, env, scene, command)
}

func execInLab(ctx context.Context, env *Env, scene *labScene, command []string) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	path := env.Getenv("PATH") + string(os.PathListSeparator) + filepath.Dir(program)
	c, err := scene.lab.Exec(scene.fleet, path, command...)
	if err != nil {
		return err
	}
	err = tool.Interactive(ctx, c, env.Stdin, env.Stdout, env.Stderr)
	if exit, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err); ok && exit.ExitCode() > 0 {
		return statusError(exit.ExitCode())
	}
	return err
}

// newLabFaultCmd is a command that changes the way between two sites.
func newLabFaultCmd(env *Env, use, short, long string, args int, run func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.ExactArgs(args), ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args) },
	}
}

func newLabCutCmd(env *Env, name *string) *cobra.Command {
	return newLabFaultCmd(env, "cut site site", "Cut the network between two sites",
		`Make the router of a lab with hosts drop everything between two sites. You reach
both. archipel lab heal undoes it.`, 2, func(ctx context.Context, args []string) error {
			return runLabLoss(ctx, env, *name, args[0], args[1], 100)
		})
}

func newLabHealCmd(env *Env, name *string) *cobra.Command {
	return newLabFaultCmd(env, "heal site site", "Undo cut and loss between two sites",
		`Make the router of a lab with hosts pass everything between two sites again.`,
		2, func(ctx context.Context, args []string) error {
			return runLabLoss(ctx, env, *name, args[0], args[1], 0)
		})
}

func newLabLossCmd(env *Env, name *string) *cobra.Command {
	return newLabFaultCmd(env, "loss site site percent", "Lose packets between two sites",
		`Make the router of a lab with hosts lose a share of the packets between two
sites, at random, in both directions. 0 heals.`, 3, func(ctx context.Context, args []string) error {
			percent, err := strconv.Atoi(args[2])
			if err != nil || percent < 0 || percent > 100 {
				return usageError{fmt.Errorf("%q is no share in percent: give a whole number from 0 to 100", args[2])}
			}
			return runLabLoss(ctx, env, *name, args[0], args[1], percent)
		})
}

func runLabLoss(ctx context.Context, env *Env, name, a, b string, percent int) error {
	scene, err := openHostScene(env, name)
	if err != nil {
		return err
	}
	defer scene.repository.Close()
	if a == b {
		return usageError{errors.New("name two sites: what is within a site does not cross the router")}
	}
	raised, err := scene.lab.Sites()
	if err != nil {
		return err
	}
	for _, site := range []string{a, b} {
		if !slices.Contains(raised, site) {
			return usageError{fmt.Errorf("the lab does not hold %q: it holds %s", site, strings.Join(raised, ", "))}
		}
	}
	if err := scene.lab.Lose(ctx, scene.fleet, a, b, percent); err != nil {
		return err
	}
	if percent == 0 {
		_, err = fmt.Fprintf(env.Stdout, "%s and %s reach each other\n", a, b)
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, hosts.Fault{Sites: [2]string{a, b}, Loss: percent})
	return err
}

func newLabKillCmd(env *Env, name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "kill node",
		Short: "End a host at once, as without power",
		Long: `End everything on a host of the lab at once. Its disk stays: archipel lab start
switches it on again.`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: completeHosts(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLabKill(cmd.Context(), env, *name, args[0])
		},
	}
}

func runLabKill(ctx context.Context, env *Env, name, node string) error {
	scene, err := openHostScene(env, name)
	if err != nil {
		return err
	}
	defer scene.repository.Close()
	ran, err := scene.lab.KillHost(ctx, scene.fleet, node)
	if err != nil {
		return err
	}
	text := "off"
	if !ran {
		text = "off already"
	}
	_, err = fmt.Fprintf(env.Stdout, "%s is %s\n", node, text)
	return err
}

func newLabStartCmd(env *Env, name *string) *cobra.Command {
	var fresh bool
	cmd := &cobra.Command{
		Use:   "start node",
		Short: "Switch a host on again",
		Long: `Start a host of the lab with the disk that it had, and wait until it answers
over SSH. --fresh gives it a new disk, as when a machine is replaced.`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: completeHosts(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLabStart(cmd.Context(), env, *name, args[0], fresh)
		},
	}
	cmd.Flags().BoolVar(&fresh, "fresh", false, "with a new disk, what it held is lost")
	return cmd
}

func runLabStart(ctx context.Context, env *Env, name, node string, fresh bool) error {
	scene, err := openHostScene(env, name)
	if err != nil {
		return err
	}
	defer scene.repository.Close()
	if err := scene.lab.StartHost(ctx, scene.fleet, node, fresh); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "%s answers over SSH\n", node)
	return err
}

// showFaults says what somebody has done to a lab with hosts, which the clusters
// cannot tell.
func showFaults(env *Env, scene *labScene) error {
	faults, err := scene.lab.Faults()
	if err != nil {
		return err
	}
	for _, fault := range faults {
		fmt.Fprintln(env.Stderr, fault)
	}
	for _, site := range scene.sites {
		dead, err := scene.lab.Dead(site.Name)
		if err != nil {
			return err
		}
		for _, death := range dead {
			fmt.Fprintf(env.Stderr, "%s is off\n", death.Component)
		}
	}
	return nil
}

// completeHosts offers the names of all nodes.
func completeHosts(env *Env) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nodesOf(env), cobra.ShellCompDirectiveNoFileComp
	}
}

// hostLogs prints the journals of a site's hosts, or of one.
func hostLogs(ctx context.Context, env *Env, scene *labScene, nodes []string, options labLogsOptions) error {
	args := []string{"--lines=" + strconv.Itoa(options.lines)}
	if options.follow {
		args = append(args, "--follow")
	}
	for _, node := range nodes {
		if len(nodes) > 1 {
			fmt.Fprintf(env.Stdout, "==> %s <==\n", node)
		}
		c, err := scene.lab.Journal(scene.fleet, node, args...)
		if err != nil {
			return err
		}
		c.Out = func(line string) { fmt.Fprintln(env.Stdout, term.Clean(line)) }
		if _, err := tool.Run(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
