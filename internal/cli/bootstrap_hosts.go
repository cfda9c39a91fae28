package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"archipel/internal/bootstrap"
	"archipel/internal/fleet"
	"archipel/internal/kube"
	"archipel/internal/secret"
	"archipel/internal/source"
	"archipel/internal/status"
	"archipel/internal/term"
	"archipel/internal/tool"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// hostFlags are those of all commands that work on hosts.
type hostFlags struct {
	inventories []string
	yes         bool
	check       bool
	timeout     time.Duration
}

func addHostFlags(cmd *cobra.Command, flags *hostFlags) {
	cmd.Flags().StringArrayVar(&flags.inventories, "inventory", nil, "`file` of further variables for Ansible; may be repeated (default $ARCHIPEL_INVENTORY)")
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
}

func addCheckFlag(cmd *cobra.Command, flags *hostFlags) {
	cmd.Flags().BoolVar(&flags.check, "check", false, "change nothing, and say what would change")
}

func addTimeoutFlag(cmd *cobra.Command, flags *hostFlags) {
	cmd.Flags().DurationVar(&flags.timeout, "timeout", 30*time.Minute, "longest `time` to wait until a site is ready")
}

// completeNodes offers sites, then the nodes of the site that is given.
func completeNodes(env *Env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return completeSites(env)(cmd, args, prefix)
		}
		if len(args) > 1 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nodesOf(env, args[0]), cobra.ShellCompDirectiveNoFileComp
	}
}

func nodesOf(env *Env, sites ...string) []string {
	repository, err := source.Open(env.Dir)
	if err != nil {
		return nil
	}
	defer repository.Close()
	f, _ := fleet.Load(repository.FS())
	var names []string
	for _, site := range f.Sites {
		if len(sites) > 0 && !slices.Contains(sites, site.Name) {
			continue
		}
		for _, node := range site.Nodes {
			names = append(names, node.Name)
		}
	}
	return names
}

// completeOneSite offers sites for the first argument only.
func completeOneSite(env *Env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completeSites(env)(cmd, args, prefix)
	}
}

// hostScene is what every command on hosts works with.
type hostScene struct {
	env        *Env
	flags      hostFlags
	repository *source.Repository
	fleet      *fleet.Fleet
	sites      []*bootstrap.Site
	ansible    *bootstrap.Ansible
	progress   *term.Progress
}

// openHosts reads the repository, and asks Ansible how the hosts of the named sites
// are reached.
func openHosts(ctx context.Context, env *Env, names []string, flags hostFlags) (_ *hostScene, err error) {
	repository, f, err := openFleet(env)
	if err != nil {
		return nil, err
	}
	scene := &hostScene{env: env, flags: flags, repository: repository, fleet: f}
	defer func() {
		if err != nil {
			scene.Close()
		}
	}()
	sites, err := selectSites(f, names)
	if err != nil {
		return nil, err
	}
	if err := refuseStale(repository, f); err != nil {
		return nil, err
	}
	if scene.ansible, err = openAnsible(env, repository, flags.inventories); err != nil {
		return nil, err
	}
	scene.progress = term.NewProgress(env.Stderr, term.NewStyle(env.Stderr, env.Getenv), env.Now)
	scene.sites = make([]*bootstrap.Site, len(sites))
	err = bootstrap.Step(scene.progress, "inventory", "asking Ansible for the hosts", func() (string, error) {
		group, groupCtx := errgroup.WithContext(ctx)
		for i, site := range sites {
			group.Go(func() error {
				var err error
				scene.sites[i], err = scene.ansible.Open(groupCtx, site)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s of %s", plural(len(scene.hosts(nil)), "host"), plural(len(sites), "site")), nil
	})
	return scene, err
}

func (s *hostScene) Close() {
	if s.progress != nil {
		s.progress.Stop()
	}
	_ = s.repository.Close()
}

// hosts are those of all sites, or those of them that limit names.
func (s *hostScene) hosts(limit []string) []bootstrap.Host {
	var hosts []bootstrap.Host
	for _, site := range s.sites {
		for _, h := range site.Hosts {
			if len(limit) == 0 || slices.Contains(limit, h.Name) {
				hosts = append(hosts, h)
			}
		}
	}
	return hosts
}

// refuseStale refuses a repository whose derived files are not what the inventories
// say: Flux would run other facts than Ansible.
func refuseStale(repository *source.Repository, f *fleet.Fleet) error {
	stale, err := staleFiles(repository, f, f.Sites)
	if err != nil {
		return err
	}
	if len(stale) > 0 {
		return configError{hintError{fmt.Errorf("%s is not what the inventories say", stale[0].Path), "archipel site sync writes it; commit it"}}
	}
	return nil
}

// openAnsible finds the programs, and a folder for their sockets.
func openAnsible(env *Env, repository *source.Repository, inventories []string) (*bootstrap.Ansible, error) {
	dir := filepath.Join(repository.Root(), "kubernetes", "ansible")
	if _, err := os.Stat(filepath.Join(dir, "playbooks")); err != nil {
		return nil, configError{errors.New("the repository has no kubernetes/ansible/playbooks")}
	}
	cache, err := homeFolder(env, "XDG_CACHE_HOME", ".cache")
	if err != nil {
		return nil, err
	}
	a := &bootstrap.Ansible{Dir: dir, Environ: withoutKeys(env.Environ)}
	if len(inventories) == 0 {
		inventories = slices.DeleteFunc(filepath.SplitList(env.Getenv("ARCHIPEL_INVENTORY")), func(s string) bool { return s == "" })
	}
	for _, name := range inventories {
		absolute, err := filepath.Abs(name)
		if err == nil {
			_, err = os.Stat(absolute)
		}
		if err != nil {
			return nil, usageError{fmt.Errorf("reading the inventory: %w", err)}
		}
		a.Inventories = append(a.Inventories, absolute)
	}
	if a.Playbook, err = findAnsible(env, cache); err != nil {
		return nil, err
	}
	if a.SSH, err = tool.Find("ssh"); err != nil {
		return nil, hintError{err, "install it (on Debian and Ubuntu: apt-get install openssh-client)"}
	}
	a.Cache, err = socketFolder(env, cache)
	return a, err
}

// findAnsible prefers the Ansible that the Makefile has installed, which is pinned.
func findAnsible(env *Env, cache string) (string, error) {
	const program = "ansible-playbook"
	pinned := filepath.Join(cache, "archipel", "venv", "current", "bin", program)
	if _, err := os.Stat(pinned); err == nil {
		return pinned, nil
	}
	for _, dir := range filepath.SplitList(env.Getenv("PATH")) {
		if filepath.IsAbs(dir) {
			if path, err := tool.Find(filepath.Join(dir, program)); err == nil {
				return path, nil
			}
		}
	}
	return "", hintError{&tool.MissingError{Program: program}, "make ansible installs the version that the roles are tried with"}
}

// maxSocketFolder leaves room for the name of a socket in the 107 bytes of its path
// (unix(7)): a slash, 40 digits of %C, and the 17 that ssh adds while it begins.
const maxSocketFolder = 107 - 1 - 40 - 17

// socketFolder is a folder that nobody else may use, with a short path.
func socketFolder(env *Env, cache string) (string, error) {
	candidates := []string{filepath.Join(cache, "archipel", "ansible")}
	if dir := env.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		candidates = append(candidates, filepath.Join(dir, "archipel"))
	}
	candidates = append(candidates, filepath.Join("/tmp", fmt.Sprintf("archipel-%d", os.Getuid())))
	for _, dir := range candidates {
		if len(dir) > maxSocketFolder {
			continue
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", fmt.Errorf("making a folder for the sockets of ssh: %w", err)
		}
		info, err := os.Lstat(dir)
		if err != nil {
			return "", fmt.Errorf("making a folder for the sockets of ssh: %w", err)
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !ok || !info.IsDir() || int(owner.Uid) != os.Getuid() {
			return "", fmt.Errorf("%s must be a folder of yours that nobody else may use", dir)
		}
		// ansible-playbook, called by hand, makes it for everybody.
		if err := os.Chmod(dir, 0o700); err != nil {
			return "", fmt.Errorf("making a folder for the sockets of ssh: %w", err)
		}
		return dir, nil
	}
	return "", errors.New("there is no folder for the sockets of ssh") // /tmp is short enough
}

// checkLimit refuses hosts that are none of the sites.
func (s *hostScene) checkLimit(limit []string) error {
	var known []string
	for _, h := range s.hosts(nil) {
		known = append(known, h.Name)
	}
	for _, name := range limit {
		if slices.Contains(known, name) {
			continue
		}
		err := fmt.Errorf("unknown node %q", name)
		if near, ok := fleet.Nearest(name, known); ok {
			err = fmt.Errorf("%w, did you mean %q?", err, near)
		}
		return hintError{usageError{err}, "the nodes are " + shortList(known)}
	}
	return nil
}

// secrets opens those of a site.
func (s *hostScene) secrets(site string) (*bootstrap.Secrets, error) {
	keys, err := secret.LoadKeyring(s.env.Getenv)
	if err != nil {
		return nil, configError{err}
	}
	store, err := secret.OpenStore(s.repository.Root())
	if err != nil {
		return nil, err
	}
	defer store.Close()
	secrets, err := bootstrap.OpenSecrets(store, keys.Identities, site)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, configError{hintError{fmt.Errorf("%s has no secrets: %w", site, err), "archipel secret init makes them"}}
	}
	if err != nil {
		return nil, configError{explainSecret(s.env, keys, err)}
	}
	return secrets, nil
}

// run plays a playbook at a site under its lock.
func (s *hostScene) run(ctx context.Context, site *bootstrap.Site, play bootstrap.Play) (*bootstrap.Outcome, error) {
	outcome, err := s.locked(ctx, site, play)
	if err != nil {
		s.progress.Fail(site.Name, "failed")
		return outcome, s.explain(site, err)
	}
	changed := map[string]bool{}
	for _, c := range outcome.Changes {
		changed[c.Host] = true
	}
	for _, h := range site.Hosts {
		if counts, ok := outcome.Hosts[h.Name]; ok {
			s.progress.Done(h.Name, fmt.Sprintf("%s, %d changed", plural(counts.OK, "task"), counts.Changed))
		}
	}
	s.progress.Done(site.Name, fmt.Sprintf("%s: %s on %s", play.Playbook, plural(len(outcome.Changes), "change"), plural(len(changed), "host")))
	return outcome, nil
}

func (s *hostScene) locked(ctx context.Context, site *bootstrap.Site, play bootstrap.Play) (*bootstrap.Outcome, error) {
	if play.Check { // it changes nothing, so that nobody need be kept out
		return s.ansible.Play(ctx, site, play, s.progress)
	}
	lock, err := s.lock(ctx, site)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	return s.ansible.Play(lock.Context(), site, play, s.progress)
}

// lock takes the lock of a site.
func (s *hostScene) lock(ctx context.Context, site *bootstrap.Site) (*bootstrap.Lock, error) {
	s.progress.Set(site.Name, "taking the lock")
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	user := s.env.Getenv("USER")
	if user == "" {
		user = fmt.Sprintf("uid-%d", os.Getuid())
	}
	return s.ansible.Lock(ctx, site, bootstrap.Owner{
		User: user + "@" + host, PID: os.Getpid(), Command: "archipel " + strings.Join(s.env.Args, " "), Since: s.env.Now(),
	}, s.progress)
}

// explain adds what to do about what went wrong on hosts.
func (s *hostScene) explain(site *bootstrap.Site, err error) error {
	if held, ok := errors.AsType[*bootstrap.HeldError](err); ok {
		return hintError{err, held.Hint()}
	}
	if failed, ok := errors.AsType[*bootstrap.PlayError](err); ok && len(failed.Failures) > 0 {
		first := failed.Failures[0]
		hint := ""
		if h, ok := site.Host(first.Host); ok {
			hint = "look at it with: " + h.Login() + "\nhint: "
		}
		return hintError{err, hint + "then run it again, what is done is left alone: " + s.again()}
	}
	if e, ok := errors.AsType[*bootstrap.SSHError](err); ok {
		return hintError{err, e.Fix}
	}
	return err
}

// again is the command line that does the same once more, to be pasted.
func (s *hostScene) again() string {
	words := []string{s.env.Program}
	for _, word := range s.env.Args {
		words = append(words, bootstrap.Quote(word))
	}
	return strings.Join(words, " ")
}

// each does something at several sites at the same time. One that fails stops no
// other; all failures are reported.
func (s *hostScene) each(ctx context.Context, parallel int, do func(ctx context.Context, site *bootstrap.Site) error) error {
	errs := make([]error, len(s.sites))
	var group errgroup.Group
	group.SetLimit(max(parallel, 1))
	for i, site := range s.sites {
		group.Go(func() error {
			if errs[i] = ctx.Err(); errs[i] == nil {
				errs[i] = do(ctx, site)
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	s.progress.Stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return nil
	}
	for _, err := range errs[:len(errs)-1] {
		report(s.env.Stderr, err)
	}
	return errs[len(errs)-1]
}

// cluster opens the cluster of a site with the kubeconfig of its first server.
func (s *hostScene) cluster(ctx context.Context, site *bootstrap.Site) (*kube.Cluster, error) {
	config, err := s.kubeconfig(ctx, site)
	if err != nil {
		return nil, err
	}
	return kube.Open(config)
}

func (s *hostScene) kubeconfig(ctx context.Context, site *bootstrap.Site) (kube.Config, error) {
	content, server, name, err := s.ansible.Kubeconfig(ctx, site)
	if err != nil {
		return kube.Config{}, s.explain(site, err)
	}
	return kube.Config{Content: content, Server: server, ServerName: name}, nil
}

// nodes reads the nodes of a site from its API.
func (s *hostScene) nodes(ctx context.Context, site *bootstrap.Site) ([]status.Node, error) {
	cluster, err := s.cluster(ctx, site)
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	snapshot := status.Take(ctx, []status.Target{{Name: site.Name, Open: func(context.Context) (status.Cluster, error) { return cluster, nil }}}, status.Options{Timeout: clusterTimeout, Now: s.env.Now})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !snapshot.Sites[0].Reachable {
		return nil, fmt.Errorf("%s does not answer: %s", site.Name, snapshot.Sites[0].Error)
	}
	return snapshot.Sites[0].Nodes, nil
}

// wait waits until a site is ready.
func (s *hostScene) wait(ctx context.Context, site *bootstrap.Site) (status.Site, string, error) {
	cluster, err := s.cluster(ctx, site)
	if err != nil {
		return status.Site{}, "", err
	}
	defer cluster.Close()
	return bootstrap.Wait(ctx, status.Target{Name: site.Name, Open: func(context.Context) (status.Cluster, error) { return cluster, nil }}, s.flags.timeout, s.progress)
}

// oneSite is the scene of a command that works on a single site.
func (s *hostScene) oneSite() *bootstrap.Site { return s.sites[0] }

// agreeHosts asks before hosts are changed.
func (s *hostScene) agreeHosts(ctx context.Context, question string, wanted ...string) error {
	s.progress.Stop()
	if len(wanted) == 0 {
		question += " [y/N] "
		wanted = []string{"y", "yes"}
	}
	err := agreeWith(ctx, s.env, s.flags.yes || s.flags.check, "this changes hosts", question, wanted...)
	s.progress = term.NewProgress(s.env.Stderr, term.NewStyle(s.env.Stderr, s.env.Getenv), s.env.Now)
	return err
}
