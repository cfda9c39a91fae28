package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"archipel/internal/check"
	"archipel/internal/finding"
	"archipel/internal/fleet"
	"archipel/internal/policy"
	"archipel/internal/render"
	"archipel/internal/source"
	"archipel/internal/store"
	"archipel/internal/term"
	"archipel/internal/terraform"

	"github.com/spf13/cobra"
)

// Where the Terraform tree has what.
const (
	environments = "kubernetes/terraform/envs"
	backendFile  = "kubernetes/terraform/backend.hcl"
)

// infraFlags are those of all commands that use Terraform.
type infraFlags struct {
	tool    string
	backend string
}

func addBackendFlag(cmd *cobra.Command, flags *infraFlags) {
	cmd.Flags().StringVar(&flags.backend, "backend", "", "`file` that says where states are kept (default $ARCHIPEL_BACKEND, else kubernetes/terraform/backend.hcl)")
}

func addInfraFlags(cmd *cobra.Command, flags *infraFlags) {
	addBackendFlag(cmd, flags)
	cmd.Flags().StringVar(&flags.tool, "tool", "", "`program` to use: terraform, tofu or a path (default the first that is recent enough)")
	_ = cmd.RegisterFlagCompletionFunc("tool", cobra.FixedCompletions([]string{"terraform", "tofu"}, cobra.ShellCompDirectiveDefault)) // fails for an unknown flag only
}

// infraScene is what every command that uses Terraform works with.
type infraScene struct {
	env        *Env
	repository *source.Repository
	fleet      *fleet.Fleet
	sites      []*fleet.Site
	progress   *term.Progress // set by the command that shows it

	backendPath string
	backend     *terraform.Backend // nil until a site needs it
	store       *store.Store
	tool        terraform.Tool
	environ     []string
	built       string // where the providers are, when they were built here
	initAlone   sync.Mutex
}

// openInfra reads the repository and holds its inventories and its Terraform tree to the
// rules, before anything is run.
func openInfra(ctx context.Context, env *Env, names []string, flags infraFlags) (_ *infraScene, err error) {
	repository, f, err := openFleet(env)
	if err != nil {
		return nil, err
	}
	s := &infraScene{env: env, repository: repository, fleet: f}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.sites, err = selectSites(f, names); err != nil {
		return nil, err
	}
	if s.backendPath, err = backendPath(env, repository, flags); err != nil {
		return nil, err
	}
	return s, s.check(ctx)
}

func (s *infraScene) Close() {
	if s.progress != nil {
		s.progress.Stop()
	}
	_ = s.repository.Close()
}

// infraRules are those of what a plan is made from.
func infraRules() []string {
	var ids []string
	for _, rule := range check.All() {
		if rule.Group == check.Terraform && rule.ID != "terraform-format" || rule.ID == "site-terraform-missing" {
			ids = append(ids, rule.ID)
		}
	}
	return ids
}

// nothing renders a site to nothing: the rules of the infrastructure need no more.
type nothing struct{}

func (nothing) Site(context.Context, *fleet.Site) (*render.Result, error) {
	return &render.Result{}, nil
}

// check prints what is wrong with the Terraform tree; an error ends the command.
func (s *infraScene) check(ctx context.Context) error {
	files := s.repository.FS()
	for _, site := range s.sites {
		if !isDir(files, environments+"/"+site.Name) {
			return configError{hintError{fmt.Errorf("the site %s has no environment %s/%s", site.Name, environments, site.Name),
				"copy that of another site, see docs/how-to/add-a-site.md"}}
		}
	}
	p, _ := policy.Load(files)
	report, err := check.Run(ctx, check.Input{FS: files, Fleet: s.fleet, Policy: p, Sites: s.sites, Only: infraRules(), Renderer: nothing{}})
	if err != nil {
		return err
	}
	bad := slices.DeleteFunc(report.Findings, func(f finding.Finding) bool { return f.Severity != finding.Error })
	if len(bad) == 0 {
		return nil
	}
	if err := finding.Text(s.env.Stderr, files, bad, term.NewStyle(s.env.Stderr, s.env.Getenv).Colour); err != nil {
		return err
	}
	return statusError(exitUsage)
}

// openTool finds Terraform or OpenTofu.
func (s *infraScene) openTool(ctx context.Context, wanted string) error {
	cache, err := homeFolder(s.env, "XDG_CACHE_HOME", ".cache")
	if err != nil {
		return err
	}
	cache = filepath.Join(cache, "archipel", "terraform")
	mirror := filepath.Join(cache, "cli.tfrc")
	if home := s.env.Getenv("HOME"); !exists(mirror) || exists(filepath.Join(home, ".terraformrc")) || exists(filepath.Join(home, ".tofurc")) {
		mirror = "" // the user has a configuration
	}
	var mirrored bool
	if s.environ, mirrored = terraform.Environment(withoutKeys(s.env.Environ), mirror); mirrored {
		// The folder that it leads to is named by what the providers are built from.
		if s.built, err = filepath.EvalSymlinks(filepath.Join(cache, "mirror")); err != nil {
			return hintError{fmt.Errorf("finding the providers that were built here: %w", err), "make tools builds them"}
		}
	}
	candidates := []string{"terraform", "tofu", filepath.Join(cache, "bin", "tofu")}
	if wanted == "tofu" {
		candidates = candidates[1:]
	} else if wanted != "" {
		if strings.ContainsRune(wanted, filepath.Separator) {
			if wanted, err = filepath.Abs(wanted); err != nil {
				return fmt.Errorf("finding the tool: %w", err)
			}
		}
		candidates = []string{wanted}
	}
	s.tool, err = terraform.FindTool(ctx, candidates, s.environ)
	if e, ok := errors.AsType[*terraform.ToolError](err); ok {
		if len(e.Reasons) == 0 && wanted != "" {
			e.Reasons = []string{wanted + " is not installed, or not in PATH"}
		}
		return configError{hintError{e, "make tools builds the OpenTofu that archipel is tried with; or install Terraform or OpenTofu " + terraform.Oldest + " or newer"}}
	}
	return err
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// openBackend reads where states are kept.
func (s *infraScene) openBackend() error {
	if s.backend != nil {
		return nil
	}
	var err error
	s.backend, err = terraform.ReadBackend(s.backendPath)
	if errors.Is(err, fs.ErrNotExist) {
		return configError{hintError{fmt.Errorf("there is no %s, which says where states are kept", s.backendPath), "docs/how-to/first-apply.md says what to write into it"}}
	}
	if err != nil {
		return configError{hintError{err, "correct the file; docs/how-to/first-apply.md says what it holds"}}
	}
	return nil
}

// openStore opens the store of states. It does not connect.
func (s *infraScene) openStore(ctx context.Context) error {
	if err := s.openBackend(); err != nil {
		return err
	}
	if s.store != nil {
		return nil
	}
	opened, err := store.Open(ctx, store.Config{
		Bucket: s.backend.Bucket, Region: s.backend.Region, Endpoint: s.backend.Endpoint, TableEndpoint: s.backend.TableEndpoint,
		PathStyle: s.backend.PathStyle, Table: s.backend.Table, Profile: s.backend.Profile,
	})
	if err != nil {
		return s.explainStore(err)
	}
	s.store = opened
	return nil
}

// readyStore asks the store whether it can be used, so that what is wrong with it is said once
// and plainly, and not by each site's tool.
func (s *infraScene) readyStore(ctx context.Context) error {
	if err := s.openStore(ctx); err != nil {
		return err
	}
	return s.explainStore(s.store.Ready(ctx))
}

// explainStore adds what to do about a store that cannot be used.
func (s *infraScene) explainStore(err error) error {
	e, ok := errors.AsType[*store.Error](err)
	if !ok {
		return err
	}
	hint := ""
	switch e.Reason {
	case store.NoCredentials:
		hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
	case store.Refused:
		hint = "the credentials of the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE) are wrong, have expired, or may not do this"
	case store.NoBucket, store.NoTable:
		hint = "archipel state backend init makes what is missing; or correct the name in " + s.backendPath
	case store.Unreachable:
		hint = "check the network, and endpoints in " + s.backendPath
	case store.Unsupported:
		hint = "the store does not offer it; see docs/how-to/first-apply.md"
	case store.Failed:
		return err
	}
	err = hintError{err, hint}
	if e.Reason != store.Unreachable {
		err = configError{err}
	}
	return err
}

// workspaces prepares the named sites for the tool: it is found, and the store asked whether it
// can be used.
func (s *infraScene) workspaces(ctx context.Context, flags infraFlags) ([]*terraform.Workspace, error) {
	if err := s.openTool(ctx, flags.tool); err != nil {
		return nil, err
	}
	var all []*terraform.Workspace
	for _, site := range s.sites {
		w, err := s.workspace(site.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	if s.backend != nil {
		if err := s.readyStore(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s *infraScene) workspace(site string) (*terraform.Workspace, error) {
	cache, err := homeFolder(s.env, "XDG_CACHE_HOME", ".cache")
	if err != nil {
		return nil, err
	}
	state, err := homeFolder(s.env, "XDG_STATE_HOME", filepath.Join(".local", "state"))
	if err != nil {
		return nil, err
	}
	root := s.repository.Root()
	checkout := fmt.Sprintf("%x", sha256.Sum256([]byte(root)))[:16]
	w := &terraform.Workspace{
		Site: site, Root: root, Dir: filepath.Join(root, filepath.FromSlash(environments), site),
		// One for each tool: they name the same provider differently.
		Data: filepath.Join(cache, "archipel", "terraform", checkout, site, strings.ToLower(s.tool.Name)),
		Kept: filepath.Join(state, "archipel", "plans", checkout),
		Tool: s.tool, Environ: s.environ, Built: s.built,
	}
	if s.env.Getenv("TF_PLUGIN_CACHE_DIR") != "" {
		w.InitAlone = &s.initAlone
	}
	backend, err := terraform.BackendOf(w.Dir)
	if err != nil {
		return nil, err
	}
	switch backend.Kind {
	case "local":
		// Where the tool runs in the environment itself, nothing is said: init takes the same file
		// under another path for a state to move, and leaves it empty.
		if s.built != "" {
			w.Backend = []string{"-backend-config=path=" + backend.Path}
		}
	case "s3":
		if err := s.openBackend(); err != nil {
			return nil, err
		}
		w.Backend = []string{"-backend-config=" + s.backendPath, "-backend-config=key=" + terraform.Key(site)}
		w.Files = []string{s.backendPath}
	}
	return w, nil
}

// who says who works on a site, for whom it keeps out.
func (s *infraScene) who() string {
	return fmt.Sprintf("archipel %s, process %d, since %s", strings.Join(s.env.Args, " "), os.Getpid(), s.env.Now().Format("15:04:05"))
}

// explainInfra adds what to do about what went wrong with a site.
func (s *infraScene) explainInfra(site string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*terraform.HeldError](err); ok {
		return hintError{err, "wait for it; if it does not run any more: archipel state doctor " + site}
	}
	if _, ok := errors.AsType[*terraform.StaleError](err); ok {
		return configError{hintError{err, "archipel plan " + site + " makes a new one"}}
	}
	if _, ok := errors.AsType[*terraform.BusyError](err); ok {
		return hintError{err, "wait until it has ended"}
	}
	return err
}
