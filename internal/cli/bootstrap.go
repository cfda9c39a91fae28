package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"archipel/internal/bootstrap"
	"archipel/internal/fleet"
	"archipel/internal/kube"
	"archipel/internal/render"
	"archipel/internal/status"
	"archipel/internal/term"

	"github.com/spf13/cobra"
)

type bootstrapOptions struct {
	hostFlags
	all        bool
	limit      []string
	parallel   int
	kubeconfig string
	output     string
}

func newBootstrapCmd(env *Env) *cobra.Command {
	var options bootstrapOptions
	cmd := &cobra.Command{
		Use:   "bootstrap" + sitesUse,
		Short: "Take sites from reachable hosts to Ready",
		Long: `Take sites from Ubuntu Server 24.04 hosts that answer over SSH to clusters that
Flux reconciles, in visible steps: read the repository and its secrets, render
Cilium and Flux, look at every host, take the lock of the site, run the playbook
site, then wait until all that Flux applies is ready. It says what it waits for
and why.

Nothing is changed before every host has passed. Run it again to resume: what is
done is left alone. A site is locked on its servers; a second run is refused and
told who works there. A lock is gone 30 s after its owner.

Secrets stay in memory, here and on the way. Host keys are checked strictly.

Exit codes: 0 all is ready; 1 a host does not pass, or a site is not ready in
time; 2 bad usage or configuration; 3 could not finish.`,
		Example: `  archipel bootstrap site-a
  archipel bootstrap --all --check
  archipel bootstrap site-a --limit site-a-agent-3`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBootstrap(cmd.Context(), env, args, options)
		},
	}
	addOutputFlag(cmd, &options.output)
	addHostFlags(cmd, &options.hostFlags)
	addCheckFlag(cmd, &options.hostFlags)
	addTimeoutFlag(cmd, &options.hostFlags)
	cmd.Flags().BoolVar(&options.all, "all", false, "all sites of the fleet")
	cmd.Flags().StringSliceVar(&options.limit, "limit", nil, "only this `node`; may be repeated")
	cmd.Flags().IntVar(&options.parallel, "parallel", 4, "`sites` at a time")
	cmd.Flags().StringVar(&options.kubeconfig, "write-kubeconfig", "", "add a context named like each site to this `file`")
	_ = cmd.RegisterFlagCompletionFunc("limit", func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return nodesOf(env, args...), cobra.ShellCompDirectiveNoFileComp
	}) // fails for an unknown flag only
	return cmd
}

// siteReport is what came of a site, in JSON.
type siteReport struct {
	Name string `json:"name"`
	*bootstrap.Outcome
	Status *status.Site `json:"status,omitempty"`
	Late   string       `json:"late,omitempty"`
}

func runBootstrap(ctx context.Context, env *Env, names []string, options bootstrapOptions) error {
	if err := checkSites(names, options.all); err != nil {
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
	plays, err := scene.sitePlays(ctx, options)
	if err != nil {
		return err
	}
	if err := scene.preflight(ctx, options); err != nil {
		return err
	}
	if err := scene.agreeHosts(ctx, scene.question(options.limit)); err != nil {
		return err
	}
	var mu sync.Mutex
	reports := map[string]*siteReport{}
	failed := scene.each(ctx, options.parallel, func(ctx context.Context, site *bootstrap.Site) error {
		r := &siteReport{Name: site.Name}
		mu.Lock()
		reports[site.Name] = r
		mu.Unlock()
		var err error
		if r.Outcome, err = scene.run(ctx, site, plays[site.Name]); err != nil || options.check {
			return err
		}
		last, late, err := scene.wait(ctx, site)
		if err != nil {
			return err
		}
		r.Status, r.Late = &last, late
		return nil
	})
	if ctx.Err() != nil {
		return failed
	}
	if err := scene.writeKubeconfig(ctx, reports, options); err != nil {
		failed = errors.Join(failed, err)
	}
	return scene.conclude(reports, options, failed)
}

// checkSites asks for sites by name, because what follows changes them.
func checkSites(names []string, all bool) error {
	switch {
	case len(names) == 0 && !all:
		return hintError{usageError{errors.New("no site is named")}, "name one or more sites, or say --all"}
	case len(names) > 0 && all:
		return usageError{errors.New("--all takes all sites: name none")}
	}
	return nil
}

// question says what would be changed.
func (s *hostScene) question(limit []string) string {
	var what []string
	for _, site := range s.sites {
		n := 0
		for _, h := range site.Hosts {
			if len(limit) == 0 || slices.Contains(limit, h.Name) {
				n++
			}
		}
		what = append(what, fmt.Sprintf("%s (%s)", site.Name, plural(n, "host")))
	}
	return "bootstrap " + strings.Join(what, ", ") + "?"
}

// sitePlays prepares the run of each site: its secrets and what it begins with.
func (s *hostScene) sitePlays(ctx context.Context, options bootstrapOptions) (map[string]bootstrap.Play, error) {
	secrets := map[string]*bootstrap.Secrets{}
	plays := map[string]bootstrap.Play{}
	err := bootstrap.Step(s.progress, "secrets", "opening them in memory", func() (string, error) {
		for _, site := range s.sites {
			opened, err := s.secrets(site.Name)
			if err != nil {
				return "", err
			}
			secrets[site.Name] = opened
			if opened.KeepsToken {
				s.progress.Print(site.Name + " keeps its server token: change it there with k3s token rotate, then run archipel secret rotate --generated k3s-server-token --switched")
			}
		}
		return "open, in memory", nil
	})
	if err != nil {
		return nil, err
	}
	err = bootstrap.Step(s.progress, "manifests", "rendering Cilium and Flux", func() (string, error) {
		renderer, err := openRenderer(s.env, s.repository, renderOptions{})
		if err != nil {
			return "", err
		}
		var sites []*fleet.Site
		for _, site := range s.sites {
			sites = append(sites, site.Site)
		}
		results, err := renderSites(ctx, renderer, sites)
		if err != nil {
			return "", err
		}
		for i, site := range s.sites {
			play, err := s.sitePlay(site, results[i], secrets[site.Name], options)
			if err != nil {
				return "", err
			}
			plays[site.Name] = play
		}
		return "Cilium, Flux and what it syncs, as in Git", nil
	})
	return plays, err
}

func (s *hostScene) sitePlay(site *bootstrap.Site, result *render.Result, secrets *bootstrap.Secrets, options bootstrapOptions) (bootstrap.Play, error) {
	if err := refuse(s.env, s.repository, result.Findings); err != nil {
		return bootstrap.Play{}, err
	}
	root, err := render.Root(s.repository.FS(), site.Name)
	if err != nil {
		return bootstrap.Play{}, configError{err}
	}
	vars, sealed, err := bootstrap.ManifestVariables(site.Name, result, root, secrets)
	if err != nil {
		return bootstrap.Play{}, configError{hintError{err, "archipel render " + site.Name + " and archipel lint " + site.Name + " say more"}}
	}
	links, err := bootstrap.LinkVariables(s.repository.FS(), s.fleet, site.Site)
	if _, missing := errors.AsType[*bootstrap.MissingKeyError](err); missing {
		return bootstrap.Play{}, configError{hintError{err, "archipel secret init makes it; commit what it writes"}}
	}
	if err != nil {
		return bootstrap.Play{}, err
	}
	maps.Copy(vars, links)
	maps.Copy(sealed, secrets.Variables)
	play := bootstrap.Play{Playbook: "site", Variables: vars, Secrets: sealed, Check: options.check}
	for _, h := range site.Hosts {
		if slices.Contains(options.limit, h.Name) {
			play.Limit = append(play.Limit, h.Name)
		}
	}
	return play, nil
}

// preflight looks at every host. An error on one ends the command before anything is
// changed on any.
func (s *hostScene) preflight(ctx context.Context, options bootstrapOptions) error {
	if len(options.limit) > 0 {
		s.sites = slices.DeleteFunc(s.sites, func(site *bootstrap.Site) bool {
			return !slices.ContainsFunc(site.Hosts, func(h bootstrap.Host) bool { return slices.Contains(options.limit, h.Name) })
		})
	}
	hosts := s.hosts(options.limit)
	var problems []bootstrap.Problem
	failed := 0
	err := bootstrap.Step(s.progress, "preflight", "asking "+plural(len(hosts), "host"), func() (string, error) {
		var err error
		if problems, err = s.ansible.Preflight(ctx, hosts, s.sites, s.fleet.Sites, s.progress); err != nil {
			return "", err
		}
		for _, p := range problems {
			if !p.Warning {
				failed++
			}
		}
		if failed > 0 {
			return "", statusError(exitFindings)
		}
		return fmt.Sprintf("%s, %s", plural(len(hosts), "host"), plural(len(problems), "warning")), nil
	})
	if err != nil && failed == 0 {
		return err
	}
	for _, p := range problems {
		s.progress.Print(problemText(p, term.NewStyle(s.env.Stderr, s.env.Getenv)))
	}
	if failed > 0 {
		s.progress.Stop()
		fmt.Fprintf(s.env.Stderr, "%s in the way; no host was changed\n", plural(failed, "problem"))
	}
	return err
}

// problemText is a problem as findings are shown.
func problemText(p bootstrap.Problem, style term.Style) string {
	word := style.Paint(term.Bad, "error")
	if p.Warning {
		word = style.Paint(term.Busy, "warning")
	}
	return fmt.Sprintf("%s: %s: %s\n   fix: %s", shortList(p.Hosts), word, term.Clean(p.Message), term.Clean(p.Fix))
}

// writeKubeconfig adds a context for every site that answers.
func (s *hostScene) writeKubeconfig(ctx context.Context, reports map[string]*siteReport, options bootstrapOptions) error {
	if options.kubeconfig == "" || options.check {
		return nil
	}
	for _, site := range s.sites {
		if r := reports[site.Name]; r == nil || r.Status == nil {
			continue
		}
		config, err := s.kubeconfig(ctx, site)
		if err != nil {
			return err
		}
		if err := kube.Merge(options.kubeconfig, site.Name, config); err != nil {
			return err
		}
	}
	return nil
}

// conclude prints what came of all sites. failed is an error that is still to report.
func (s *hostScene) conclude(reports map[string]*siteReport, options bootstrapOptions, failed error) error {
	s.progress.Stop()
	var list []*siteReport
	var late []string
	snapshot := status.Snapshot{Taken: s.env.Now()}
	for _, site := range s.sites {
		r := reports[site.Name]
		if r == nil {
			continue
		}
		list = append(list, r)
		if r.Status != nil {
			snapshot.Sites = append(snapshot.Sites, *r.Status)
		}
		if r.Late != "" {
			late = append(late, site.Name+": "+r.Late)
		}
	}
	switch {
	case options.output == outputJSON:
		if err := writeJSON(s.env.Stdout, map[string]any{"sites": list}); err != nil {
			return err
		}
	case options.check:
		if err := s.showChanges(list); err != nil {
			return err
		}
	case len(snapshot.Sites) > 0:
		if err := term.Snapshot(s.env.Stdout, snapshot, term.NewStyle(s.env.Stdout, s.env.Getenv)); err != nil {
			return err
		}
	}
	if failed != nil {
		return failed
	}
	if err := lateError(s.env, late); err != nil {
		return err
	}
	if options.check {
		return nil
	}
	kubeconfig := "--kubeconfig " + bootstrap.Quote(options.kubeconfig)
	if options.kubeconfig == "" {
		kubeconfig = "   (with a context per site: --write-kubeconfig adds it)"
	}
	fmt.Fprintf(s.env.Stderr, "\nTry next:\n  %s status %s\n", s.env.Program, kubeconfig)
	return nil
}

// showChanges lists what would change, per host.
func (s *hostScene) showChanges(reports []*siteReport) error {
	table := term.Table{}
	rows := 0
	for _, r := range reports {
		if r.Outcome == nil {
			continue
		}
		for _, c := range r.Changes {
			table.Row(cells(c.Host, c.Task)...)
			rows++
		}
	}
	if rows == 0 {
		_, err := fmt.Fprintln(s.env.Stdout, "nothing would change")
		return err
	}
	fmt.Fprintln(s.env.Stderr, "these tasks would change something:")
	return table.Write(s.env.Stdout, term.NewStyle(s.env.Stdout, s.env.Getenv))
}
