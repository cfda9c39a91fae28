package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"

	"archipel/internal/bootstrap"
	"archipel/internal/finding"
	"archipel/internal/fleet"
	"archipel/internal/status"
	"archipel/internal/term"

	"github.com/spf13/cobra"
)

func newNodeCmd(env *Env) *cobra.Command {
	return newGroupCmd("node", "List, add, drain and remove the nodes of sites",
		`A node is a host in kubernetes/ansible/inventories/<site>/hosts.yml. These
commands keep that file and the cluster together.`,
		newNodeListCmd(env), newNodeAddCmd(env), newNodeDrainCmd(env), newNodeRemoveCmd(env))
}

func newNodeListCmd(env *Env) *cobra.Command {
	var options statusOptions
	cmd := &cobra.Command{
		Use:   "list" + sitesUse,
		Short: "List the nodes of sites, and how they are",
		Long: `List the nodes that the inventories name, and those that the clusters have. How
they are is asked from the site's context, as archipel status does; where there
is none, only the inventory is shown.`,
		Example: `  archipel node list
  archipel node list site-a --output json`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runNodeList(cmd.Context(), env, args, options)
		},
	}
	addOutputFlag(cmd, &options.output)
	cmd.Flags().StringVar(&options.kubeconfig, "kubeconfig", "", "`file` with a context per site")
	return cmd
}

// listedNode is a node in JSON.
type listedNode struct {
	Site    string `json:"site"`
	Name    string `json:"name"`
	Role    string `json:"role"`
	Address string `json:"address,omitempty"`
	Version string `json:"version,omitempty"`
	State   string `json:"state"` // that of the cluster; "absent" there, "stray" in no inventory, "unknown"
}

func runNodeList(ctx context.Context, env *Env, names []string, options statusOptions) error {
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
	targets, _, err := statusTargets(env, sites, options, l)
	if err != nil {
		return err
	}
	snapshot := status.Take(ctx, targets, status.Options{Now: env.Now})
	if err := ctx.Err(); err != nil {
		return err
	}
	nodes := []listedNode{}
	for i, site := range sites {
		if s := snapshot.Sites[i]; !s.Reachable {
			fmt.Fprintf(env.Stderr, "%s: only what the inventory says: %s\n", site.Name, term.Clean(s.Error))
		}
		nodes = append(nodes, listNodes(site, snapshot.Sites[i])...)
	}
	if options.output == outputJSON {
		return writeJSON(env.Stdout, map[string]any{"nodes": nodes})
	}
	table := term.Table{}
	table.Row(cells("SITE", "NODE", "ROLE", "ADDRESS", "STATE", "VERSION")...)
	for _, n := range nodes {
		table.Row(cells(n.Site, n.Name, n.Role, cmp.Or(n.Address, "-"), n.State, cmp.Or(n.Version, "-"))...)
	}
	return table.Write(env.Stdout, term.NewStyle(env.Stdout, env.Getenv))
}

// listNodes brings the inventory and the cluster of a site together.
func listNodes(site *fleet.Site, live status.Site) []listedNode {
	var nodes []listedNode
	for _, n := range site.Nodes {
		node := listedNode{Site: site.Name, Name: n.Name, Role: string(n.Role), Address: n.Address.String(), State: string(status.Unknown)}
		if live.Reachable {
			node.State = "absent"
			if i := slices.IndexFunc(live.Nodes, func(l status.Node) bool { return l.Name == n.Name }); i >= 0 {
				node.State, node.Version = string(live.Nodes[i].State), live.Nodes[i].Version
			}
		}
		nodes = append(nodes, node)
	}
	for _, l := range live.Nodes {
		if !slices.ContainsFunc(site.Nodes, func(n fleet.Node) bool { return n.Name == l.Name }) {
			nodes = append(nodes, listedNode{Site: site.Name, Name: l.Name, Role: l.Role, State: "stray", Version: l.Version})
		}
	}
	return nodes
}

func newNodeAddCmd(env *Env) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "add SITE NAME ADDRESS",
		Short: "Write a new node into a site's inventory",
		Long: `Write a host into the site's hosts.yml, when the fleet is right with it. All
other lines of the file stay as they are. Nothing is done to the host: archipel
bootstrap makes it a node.`,
		Example: `  archipel node add site-a site-a-agent-3 198.51.100.23
  archipel node add site-a site-a-server-2 198.51.100.12 --role server`,
		Args:              cobra.ExactArgs(3),
		ValidArgsFunction: completeOneSite(env),
		RunE: func(_ *cobra.Command, args []string) error {
			return runNodeAdd(env, args[0], args[1], args[2], role)
		},
	}
	roles := []string{string(fleet.RoleAgent), string(fleet.RoleServer)}
	cmd.Flags().StringVar(&role, "role", roles[0], "what it runs, a `role`: agent or server")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(roles, cobra.ShellCompDirectiveNoFileComp)) // fails for an unknown flag only
	return cmd
}

func runNodeAdd(env *Env, name, node, text, role string) error {
	if role != string(fleet.RoleAgent) && role != string(fleet.RoleServer) {
		return hintError{usageError{fmt.Errorf("unknown role %q", role)}, "use agent or server"}
	}
	address, err := netip.ParseAddr(text)
	if err != nil || !address.Is4() {
		return usageError{fmt.Errorf("%q is no IPv4 address", text)}
	}
	err = editHosts(env, name, func(content []byte) ([]byte, error) {
		return fleet.AddNode(content, node, address, fleet.Role(role))
	}, func(site *fleet.Site) error {
		if _, exists := nodeOf(site, node); exists {
			return usageError{fmt.Errorf("%s has a node %s already", site.Name, node)}
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, "\nTry next:\n  %s bootstrap %s\n", env.Program, name)
	return nil
}

func nodeOf(site *fleet.Site, name string) (fleet.Node, bool) {
	i := slices.IndexFunc(site.Nodes, func(n fleet.Node) bool { return n.Name == name })
	if i < 0 {
		return fleet.Node{}, false
	}
	return site.Nodes[i], true
}

// editHosts changes a site's hosts.yml, when the fleet is right with the change.
func editHosts(env *Env, name string, edit func([]byte) ([]byte, error), check func(*fleet.Site) error) error {
	repository, f, err := openFleet(env)
	if err != nil {
		return err
	}
	defer repository.Close()
	sites, err := selectSites(f, []string{name})
	if err != nil {
		return err
	}
	if err := check(sites[0]); err != nil {
		return err
	}
	file := fleet.HostsFile(name)
	before, err := fs.ReadFile(repository.FS(), file)
	if err != nil {
		return configError{fmt.Errorf("reading %s: %w", file, err)}
	}
	after, err := edit(before)
	if err != nil {
		return configError{fmt.Errorf("%s: %w", file, err)}
	}
	changed := fleet.Overlay(repository.FS(), file, after)
	if _, findings := fleet.Load(changed); slices.ContainsFunc(findings, isError) {
		style := term.NewStyle(env.Stderr, env.Getenv)
		if err := finding.Text(env.Stderr, changed, findings, style.Colour); err != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, "%s was not changed\n", file)
		return statusError(exitUsage)
	}
	if err := replaceFile(filepath.Join(repository.Root(), filepath.FromSlash(file)), after, 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "wrote %s\n", file)
	return err
}

func newNodeDrainCmd(env *Env) *cobra.Command {
	var (
		flags hostFlags
		undo  bool
	)
	cmd := &cobra.Command{
		Use:   "drain SITE NODE",
		Short: "Move the workloads of a node to the others",
		Long: `Keep new pods off a node and evict those that it runs, as kubectl drain does on
a server of the site: pods of DaemonSets stay, what is in emptyDir is lost.
--undo lets the node take pods again.`,
		Example: `  archipel node drain site-a site-a-agent-1
  archipel node drain site-a site-a-agent-1 --undo`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeNodes(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runNodeDrain(cmd.Context(), env, args[0], args[1], undo, flags)
		},
	}
	addHostFlags(cmd, &flags)
	addTimeoutFlag(cmd, &flags)
	cmd.Flags().BoolVar(&undo, "undo", false, "let the node take pods again")
	return cmd
}

func runNodeDrain(ctx context.Context, env *Env, name, node string, undo bool, flags hostFlags) error {
	scene, err := openHosts(ctx, env, []string{name}, flags)
	if err != nil {
		return err
	}
	defer scene.Close()
	site := scene.oneSite()
	if err := scene.checkLimit([]string{node}); err != nil {
		return err
	}
	words := []string{"k3s", "kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=" + flags.timeout.String()}
	doing, done := "draining "+node, node+" is drained"
	if undo {
		words, doing, done = []string{"k3s", "kubectl", "uncordon", node}, "letting "+node+" take pods", node+" takes pods again"
	} else if err := scene.agreeHosts(ctx, "drain "+node+" of "+site.Name+"?"); err != nil {
		return err
	}
	lock, err := scene.lock(ctx, site)
	if err != nil {
		return scene.explain(site, err)
	}
	defer lock.Release()
	err = bootstrap.Step(scene.progress, site.Name, doing, func() (string, error) {
		var err error
		for _, server := range site.Servers() {
			if _, err = scene.ansible.Sudo(lock.Context(), server, words...); err == nil {
				return done, nil
			}
			if _, lost := errors.AsType[*bootstrap.SSHError](err); !lost {
				break
			}
		}
		return "", scene.explain(site, err)
	})
	if err == nil && !undo {
		scene.progress.Stop()
		fmt.Fprintf(env.Stderr, "\nTry next:\n  %[1]s node drain %[2]s %[3]s --undo\n  %[1]s node remove %[2]s %[3]s\n", env.Program, site.Name, node)
	}
	return err
}

func newNodeRemoveCmd(env *Env) *cobra.Command {
	var (
		flags hostFlags
		dead  bool
	)
	cmd := &cobra.Command{
		Use:   "remove SITE NODE",
		Short: "Take a node out of its cluster and its inventory",
		Long: `Drain a node, take it out of the cluster (and out of etcd, when it is a server),
take k3s off it, and then take it out of the site's hosts.yml. --dead is for a
host that is lost: nothing is asked of it.

Refused is the last server, and a removal by which etcd would lose its quorum.`,
		Example: `  archipel node remove site-a site-a-agent-2
  archipel node remove site-a site-a-server-3 --dead`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeNodes(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runNodeRemove(cmd.Context(), env, args[0], args[1], dead, flags)
		},
	}
	addHostFlags(cmd, &flags)
	cmd.Flags().BoolVar(&dead, "dead", false, "the host is lost")
	return cmd
}

func runNodeRemove(ctx context.Context, env *Env, name, node string, dead bool, flags hostFlags) error {
	scene, err := openHosts(ctx, env, []string{name}, flags)
	if err != nil {
		return err
	}
	defer scene.Close()
	site := scene.oneSite()
	if err := scene.checkLimit([]string{node}); err != nil {
		return err
	}
	if host, _ := site.Host(node); host.Role == fleet.RoleServer {
		if err := scene.checkQuorum(ctx, site, node, dead); err != nil {
			return err
		}
	}
	// What cannot be taken out of the file afterwards is better known before.
	content, err := fs.ReadFile(scene.repository.FS(), fleet.HostsFile(site.Name))
	if err == nil {
		_, err = fleet.RemoveNode(content, node)
	}
	if err != nil {
		return configError{fmt.Errorf("%s: %w", fleet.HostsFile(site.Name), err)}
	}
	if err := scene.agreeHosts(ctx, "remove "+node+" from "+site.Name+"?"); err != nil {
		return err
	}
	secrets, err := scene.secrets(site.Name)
	if err != nil {
		return err
	}
	play := bootstrap.Play{
		Playbook: "node-remove", Secrets: secrets.Variables,
		Variables: map[string]any{"site_name": site.Name, "k3s_remove_node": node, "k3s_remove_dead": dead},
	}
	if _, err := scene.run(ctx, site, play); err != nil {
		return err
	}
	scene.progress.Stop()
	err = editHosts(env, site.Name, func(content []byte) ([]byte, error) { return fleet.RemoveNode(content, node) }, func(*fleet.Site) error { return nil })
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, "\nTry next:\n  %[1]s site sync\n  %[1]s bootstrap %[2]s --check\n", env.Program, site.Name)
	return nil
}

// checkQuorum refuses to remove a server that etcd cannot do without.
func (s *hostScene) checkQuorum(ctx context.Context, site *bootstrap.Site, node string, dead bool) error {
	refused := func(reason string) error {
		return configError{fmt.Errorf("%s is not removed: %s", node, reason)}
	}
	members := len(site.Servers())
	if members == 1 {
		return refused(bootstrap.Quorum(1, 1, dead))
	}
	nodes, err := s.nodes(ctx, site)
	if err != nil {
		return err
	}
	healthy, lost := 0, dead
	for _, server := range site.Servers() {
		i := slices.IndexFunc(nodes, func(n status.Node) bool { return n.Name == server.Name })
		switch {
		case i >= 0 && nodes[i].State == status.Ready:
			healthy++
		case server.Name == node:
			lost = true
		}
	}
	if reason := bootstrap.Quorum(members, healthy, lost); reason != "" {
		return refused(reason)
	}
	return nil
}
