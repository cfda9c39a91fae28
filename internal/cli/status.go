package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"archipel/internal/fleet"
	"archipel/internal/kube"
	"archipel/internal/lab"
	"archipel/internal/source"
	"archipel/internal/status"
	"archipel/internal/term"

	"github.com/spf13/cobra"
)

type statusOptions struct {
	output     string
	watch      bool
	interval   time.Duration
	timeout    time.Duration
	kubeconfig string
	labOnly    bool
}

func newStatusCmd(env *Env) *cobra.Command {
	var options statusOptions
	cmd := &cobra.Command{
		Use:   "status" + sitesUse,
		Short: "Show nodes, Flux and workloads of every site",
		Long: `Take one snapshot of all sites at the same time and show it. What is not ready
is listed with its root cause first.

A site's cluster is the kubeconfig context that is named like the site, in
--kubeconfig, $KUBECONFIG or ~/.kube/config. Where there is none and the lab of
this repository holds the site, the lab's is used.

Exit codes: 0 all is ready; 1 something is not; 3 no site answers.`,
		Example: `  archipel status
  archipel status site-a --watch
  archipel status --output json`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runStatus(cmd.Context(), env, args, options)
		},
	}
	addStatusFlags(cmd, &options)
	cmd.Flags().StringVar(&options.kubeconfig, "kubeconfig", "", "`file` with a context per site")
	return cmd
}

func addStatusFlags(cmd *cobra.Command, options *statusOptions) {
	addOutputFlag(cmd, &options.output)
	cmd.Flags().BoolVarP(&options.watch, "watch", "w", false, "take a snapshot again and again until interrupted")
	cmd.Flags().DurationVar(&options.interval, "interval", 2*time.Second, "`time` between two snapshots of --watch")
	cmd.Flags().DurationVar(&options.timeout, "timeout", 5*time.Second, "longest `time` to wait for a site")
}

func runStatus(ctx context.Context, env *Env, names []string, options statusOptions) error {
	repository, f, err := openFleet(env)
	if err != nil {
		return err
	}
	defer repository.Close()
	sites, err := selectSites(f, names)
	if err != nil {
		return err
	}
	l, err := openLab(env, repository, "")
	if err != nil {
		return err
	}
	targets, inLab, err := statusTargets(env, sites, options, l)
	if err != nil {
		return err
	}
	return showStatus(ctx, env, targets, inLab, l, options)
}

// statusTargets finds the cluster of each site, and says which are the lab's.
func statusTargets(env *Env, sites []*fleet.Site, options statusOptions, l *lab.Lab) ([]status.Target, map[string]bool, error) {
	config := kube.Config{Getenv: env.Getenv}
	if options.kubeconfig != "" {
		if _, err := os.Stat(options.kubeconfig); err != nil {
			return nil, nil, configError{fmt.Errorf("reading the kubeconfig: %w", err)}
		}
		config.Paths = []string{options.kubeconfig}
	}
	var raised []string
	if l.Exists() {
		var err error
		if raised, err = l.Sites(); err != nil {
			return nil, nil, err
		}
	}
	inLab := map[string]bool{}
	var targets []status.Target
	for _, site := range sites {
		config.Context = site.Name
		target, isLab, err := statusTarget(config, site.Name, options, l, slices.Contains(raised, site.Name))
		if err != nil {
			return nil, nil, err
		}
		targets = append(targets, target)
		inLab[site.Name] = isLab
	}
	return targets, inLab, nil
}

// statusTarget finds the cluster of one site; raised says that the lab has one.
func statusTarget(config kube.Config, site string, options statusOptions, l *lab.Lab, raised bool) (target status.Target, isLab bool, err error) {
	failing := func(err error) status.Target {
		return status.Target{Name: site, Open: func(context.Context) (status.Cluster, error) { return nil, err }}
	}
	if options.labOnly {
		if raised {
			return labTarget(l, site), true, nil
		}
		return failing(fmt.Errorf("the lab does not hold this site; archipel lab up %s raises it", site)), false, nil
	}
	cluster, err := kube.Open(config)
	if _, missing := errors.AsType[*kube.NoContextError](err); missing {
		if raised && options.kubeconfig == "" {
			return labTarget(l, site), true, nil
		}
		return failing(err), false, nil
	}
	if err != nil {
		return status.Target{}, false, configError{err}
	}
	if raised && isLabCluster(cluster, l, site) {
		return labTarget(l, site), true, nil
	}
	return status.Target{Name: site, Open: func(context.Context) (status.Cluster, error) { return cluster, nil }}, false, nil
}

// isLabCluster tells the lab's own cluster behind a context of any kubeconfig,
// such as the one that archipel lab kubeconfig names: what runs beside it can
// then be told too.
func isLabCluster(cluster *kube.Cluster, l *lab.Lab, site string) bool {
	own, err := l.Open(site)
	if err != nil {
		return false
	}
	defer own.Close()
	return own.Server() == cluster.Server()
}

// labTarget is a site of the lab. The log of its API server tells since when it is down.
func labTarget(l *lab.Lab, site string) status.Target {
	return status.Target{
		Name: site,
		Open: func(context.Context) (status.Cluster, error) { return l.Open(site) },
		DownSince: func() (time.Time, bool) {
			dead, err := l.Dead(site)
			if err != nil {
				return time.Time{}, false
			}
			for _, death := range dead {
				if death.Component == "kube-apiserver" || death.Component == "etcd" {
					return death.Since, !death.Since.IsZero()
				}
			}
			return time.Time{}, false
		},
	}
}

func showStatus(ctx context.Context, env *Env, targets []status.Target, inLab map[string]bool, l *lab.Lab, options statusOptions) error {
	style := term.NewStyle(env.Stdout, env.Getenv)
	if options.output == outputText && !options.labOnly {
		var names []string
		for _, target := range targets {
			if inLab[target.Name] {
				names = append(names, target.Name)
			}
		}
		if len(names) > 0 {
			fmt.Fprintf(env.Stderr, "of the lab: %s\n", strings.Join(names, ", "))
		}
	}
	show := func(s status.Snapshot) error {
		addDeaths(&s, inLab, l)
		if options.output == outputJSON {
			return writeJSON(env.Stdout, s)
		}
		return term.Snapshot(env.Stdout, s, style)
	}
	takeOptions := status.Options{Timeout: options.timeout, Now: env.Now}
	if !options.watch {
		s := status.Take(ctx, targets, takeOptions)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := show(s); err != nil {
			return err
		}
		return statusOrNil(s)
	}
	var showErr error
	err := status.Watch(ctx, targets, takeOptions, options.interval, func(s status.Snapshot) bool {
		if style.Live && options.output == outputText {
			fmt.Fprint(env.Stdout, "\x1b[H\x1b[2J") // home, clear
		}
		showErr = show(s)
		return showErr != nil
	})
	return errors.Join(showErr, err)
}

func statusOrNil(s status.Snapshot) error {
	if code := s.ExitCode(); code != exitClean {
		return statusError(code)
	}
	return nil
}

// addDeaths puts programs of the lab that have died before all other causes: a
// cluster cannot tell that a controller which runs beside it is gone.
func addDeaths(s *status.Snapshot, inLab map[string]bool, l *lab.Lab) {
	for i := range s.Sites {
		site := &s.Sites[i]
		if !inLab[site.Name] {
			continue
		}
		dead, err := l.Dead(site.Name)
		if err != nil {
			site.Notes = append(site.Notes, err.Error())
			continue
		}
		var causes []status.Cause
		for _, death := range dead {
			message := "does not run in the lab"
			if !death.Since.IsZero() { // nobody has recorded when it ended
				message += fmt.Sprintf("; its log ends at %s with: %s", death.Since.Format(time.TimeOnly), death.Last)
			}
			kind, hint := "Process", "archipel lab up starts it again"
			if death.Host {
				kind, hint = "Host", "archipel lab start "+death.Component+" switches it on again"
			}
			causes = append(causes, status.Cause{
				Object: status.Ref{Kind: kind, Name: death.Component},
				State:  status.Failed, Reason: "NotRunning", Message: message,
				Hint: hint, Affects: []status.Ref{},
			})
		}
		if len(causes) > 0 {
			site.Causes = append(causes, site.Causes...)
			if site.Reachable {
				site.State = status.Failed
			}
		}
	}
}

// openLab returns the lab of a repository.
func openLab(env *Env, repository *source.Repository, name string) (*lab.Lab, error) {
	state, err := homeFolder(env, "XDG_STATE_HOME", ".local/state")
	if err != nil {
		return nil, err
	}
	cache, err := homeFolder(env, "XDG_CACHE_HOME", ".cache")
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = env.Getenv("ARCHIPEL_LAB")
	}
	if err := checkLabName(name); err != nil {
		return nil, err
	}
	return lab.New(lab.Config{
		Repository: repository.Root(), StateHome: state, CacheHome: cache, Name: name,
		Now: env.Now, Environment: env.Environ,
	}), nil
}

// homeFolder is a base folder of the XDG specification; a relative one is ignored, as it says.
func homeFolder(env *Env, variable, standard string) (string, error) {
	if dir := env.Getenv(variable); filepath.IsAbs(dir) {
		return dir, nil
	}
	home := env.Getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", configError{hintError{errors.New("there is no home folder to keep state in"), "set HOME or " + variable}}
	}
	return filepath.Join(home, standard), nil
}
