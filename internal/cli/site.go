package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"archipel/internal/derive"
	"archipel/internal/fleet"
	"archipel/internal/source"
	"archipel/internal/term"

	"github.com/spf13/cobra"
)

func newSiteCmd(env *Env) *cobra.Command {
	return newGroupCmd("site", "List sites, and derive what Flux needs of their facts",
		`A site is a directory of kubernetes/ansible/inventories. Its facts are stated
there, and nowhere else.`,
		newSiteListCmd(env), newSiteSyncCmd(env))
}

func newSiteListCmd(env *Env) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list" + sitesUse,
		Short: "List the sites of the fleet and their facts",
		Long:  `List the sites, their nodes and the facts that must differ from site to site.`,
		Example: `  archipel site list
  archipel site list site-a --output json`,
		ValidArgsFunction: completeSites(env),
		RunE: func(_ *cobra.Command, args []string) error {
			return runSiteList(env, args, output)
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

// siteInfo is a site in JSON.
type siteInfo struct {
	Name           string     `json:"name"`
	ClusterID      int        `json:"clusterID"`
	NodeCIDR       string     `json:"nodeCIDR"`
	PodCIDR        string     `json:"podCIDR"`
	ServiceCIDR    string     `json:"serviceCIDR"`
	LoadBalancer   []string   `json:"loadBalancerRanges"`
	MeshAPIAddress string     `json:"meshAPIAddress"`
	K3sVersion     string     `json:"k3sVersion"`
	CiliumVersion  string     `json:"ciliumVersion"`
	MetalLBVersion string     `json:"metallbVersion"`
	FluxVersion    string     `json:"fluxVersion"`
	Nodes          []nodeInfo `json:"nodes"`
}

type nodeInfo struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	Address string `json:"address"`
}

func runSiteList(env *Env, names []string, output string) error {
	repository, f, err := openFleet(env)
	if err != nil {
		return err
	}
	defer repository.Close()
	sites, err := selectSites(f, names)
	if err != nil {
		return err
	}
	if output == outputJSON {
		infos := []siteInfo{}
		for _, s := range sites {
			infos = append(infos, newSiteInfo(s))
		}
		return writeJSON(env.Stdout, map[string]any{"sites": infos})
	}
	table := term.Table{}
	table.Row(cells("SITE", "ID", "SERVERS", "AGENTS", "NODES", "PODS", "SERVICES", "K3S")...)
	for _, s := range sites {
		servers := len(s.Servers())
		table.Row(cells(s.Name, fmt.Sprint(s.Facts.ClusterID), fmt.Sprint(servers), fmt.Sprint(len(s.Nodes)-servers),
			s.Facts.NodeCIDR.String(), s.Facts.PodCIDR.String(), s.Facts.ServiceCIDR.String(), s.Facts.K3sVersion)...)
	}
	return table.Write(env.Stdout, term.NewStyle(env.Stdout, env.Getenv))
}

func cells(texts ...string) []term.Cell {
	row := make([]term.Cell, len(texts))
	for i, text := range texts {
		row[i] = term.Cell{Text: text}
	}
	return row
}

func newSiteInfo(s *fleet.Site) siteInfo {
	info := siteInfo{
		Name: s.Name, ClusterID: s.Facts.ClusterID,
		NodeCIDR: s.Facts.NodeCIDR.String(), PodCIDR: s.Facts.PodCIDR.String(), ServiceCIDR: s.Facts.ServiceCIDR.String(),
		LoadBalancer: []string{}, MeshAPIAddress: s.Facts.MeshAPIAddress.String(),
		K3sVersion: s.Facts.K3sVersion, CiliumVersion: s.Facts.CiliumVersion,
		MetalLBVersion: s.Facts.MetalLBVersion, FluxVersion: s.Facts.FluxVersion,
	}
	for _, r := range s.Facts.LoadBalancerRanges {
		info.LoadBalancer = append(info.LoadBalancer, r.String())
	}
	for _, n := range s.Nodes {
		info.Nodes = append(info.Nodes, nodeInfo{Name: n.Name, Role: string(n.Role), Address: n.Address.String()})
	}
	return info
}

func newSiteSyncCmd(env *Env) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "sync" + sitesUse,
		Short: "Derive what Flux needs of the facts",
		Long: `Write kubernetes/flux/clusters/<site>/site.yaml: the ConfigMap of facts that
Flux substitutes, and the Cilium values that name the other sites of the mesh.
Commit the result.

With --check nothing is written; the exit code is 1 when a file is not what the
inventories say.`,
		Example: `  archipel site sync
  archipel site sync --check`,
		ValidArgsFunction: completeSites(env),
		RunE: func(_ *cobra.Command, args []string) error {
			return runSiteSync(env, args, check)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing, and exit with 1 when a file is stale")
	return cmd
}

func runSiteSync(env *Env, names []string, check bool) error {
	repository, f, err := openFleet(env)
	if err != nil {
		return err
	}
	defer repository.Close()
	sites, err := selectSites(f, names)
	if err != nil {
		return err
	}
	stale, err := staleFiles(repository, f, sites)
	if err != nil {
		return err
	}
	for _, file := range stale {
		if check {
			fmt.Fprintf(env.Stdout, "%s is not what the inventories say\n", file.Path)
			continue
		}
		if err := replaceFile(filepath.Join(repository.Root(), filepath.FromSlash(file.Path)), file.Content, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(env.Stdout, "wrote %s\n", file.Path)
	}
	if check && len(stale) > 0 {
		fmt.Fprintln(env.Stderr, "hint: archipel site sync writes them")
		return statusError(exitFindings)
	}
	if len(stale) == 0 {
		fmt.Fprintf(env.Stdout, "%s up to date\n", plural(len(sites), "site"))
	}
	return nil
}

// staleFiles returns the derived files that differ from those in the repository.
func staleFiles(repository *source.Repository, f *fleet.Fleet, sites []*fleet.Site) ([]derive.File, error) {
	var stale []derive.File
	for _, site := range sites {
		file, err := derive.Site(f, site)
		if err != nil {
			return nil, err
		}
		current, err := fs.ReadFile(repository.FS(), file.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading %s: %w", file.Path, err)
		}
		if !bytes.Equal(current, file.Content) {
			stale = append(stale, file)
		}
	}
	return stale, nil
}

// replaceFile writes a file of the repository whole or not at all.
func replaceFile(name string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), ".archipel-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Chmod(mode), temporary.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.Rename(temporary.Name(), name); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}
