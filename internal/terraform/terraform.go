// Package terraform plans and applies the machines of sites with Terraform or OpenTofu, and says in words what would change.
package terraform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"archipel/internal/tool"
)

// Oldest is the oldest version that is used: the first that locks a state with a file
// beside it (use_lockfile).
const Oldest = "1.10"

// Tool is a Terraform or an OpenTofu.
type Tool struct {
	Path    string
	Name    string // Terraform or OpenTofu
	Version string
}

func (t Tool) String() string { return t.Name + " " + t.Version }

// ToolError says that there is no tool that can be used.
type ToolError struct{ Reasons []string }

func (e *ToolError) Error() string {
	if len(e.Reasons) == 0 {
		return "neither terraform nor tofu is installed"
	}
	return strings.Join(e.Reasons, "; ")
}

// FindTool returns the first of the candidates, names or paths, that is recent enough.
func FindTool(ctx context.Context, candidates, environ []string) (Tool, error) {
	failed := &ToolError{}
	for _, candidate := range candidates {
		path, err := tool.Find(candidate)
		if _, missing := errors.AsType[*tool.MissingError](err); missing {
			continue
		}
		if err != nil {
			return Tool{}, err
		}
		found, err := ask(ctx, path, environ)
		if ctx.Err() != nil {
			return Tool{}, ctx.Err()
		}
		if err != nil {
			failed.Reasons = append(failed.Reasons, fmt.Sprintf("%s does not say its version", path))
			continue
		}
		if !recent(found.Version) {
			failed.Reasons = append(failed.Reasons, fmt.Sprintf("%s is %s, and the oldest that is used is %s", path, found, Oldest))
			continue
		}
		return found, nil
	}
	return Tool{}, failed
}

func ask(ctx context.Context, path string, environ []string) (Tool, error) {
	out, err := tool.Run(ctx, tool.Command{Name: path, Args: []string{"version", "-json"}, Env: environ})
	if err != nil {
		return Tool{}, err
	}
	var answer struct {
		Version string `json:"terraform_version"`
	}
	// Warnings may stand around it.
	if at := bytes.IndexByte(out, '{'); at >= 0 {
		err = json.NewDecoder(bytes.NewReader(out[at:])).Decode(&answer)
	}
	if err != nil || answer.Version == "" {
		return Tool{}, errors.New("no version")
	}
	// OpenTofu calls its version terraform_version too: only the text names the program.
	text, err := tool.Run(ctx, tool.Command{Name: path, Args: []string{"version"}, Env: environ})
	name := "Terraform"
	if bytes.Contains(text, []byte("OpenTofu")) {
		name = "OpenTofu"
	}
	return Tool{Path: path, Name: name, Version: answer.Version}, err
}

// recent says whether a version is not older than Oldest.
func recent(version string) bool {
	numbers := regexp.MustCompile(`^v?(\d+)\.(\d+)`).FindStringSubmatch(version)
	if numbers == nil {
		return false
	}
	major, err1 := strconv.Atoi(numbers[1])
	minor, err2 := strconv.Atoi(numbers[2])
	return err1 == nil && err2 == nil && (major > 1 || major == 1 && minor >= 10)
}

// Environment is that of the tool: the user's, without what would make the tool do something
// else than archipel says, and without questions and calls home. mirror is the configuration
// that names the providers that were built here; it is used unless the user has set another.
func Environment(environ []string, mirror string) (environment []string, mirrored bool) {
	var kept []string
	config := ""
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case strings.HasPrefix(name, "TF_CLI_ARGS"), name == "TF_WORKSPACE", name == "TF_DATA_DIR", name == "TF_INPUT", name == "TF_IN_AUTOMATION":
		case name == "TF_CLI_CONFIG_FILE":
			config = value
		default:
			kept = append(kept, variable)
		}
	}
	// A file that is not there is only warned of: it is none of the user's.
	if _, err := os.Stat(config); config == "" || err != nil {
		config, mirrored = mirror, mirror != ""
	}
	if config != "" {
		kept = append(kept, "TF_CLI_CONFIG_FILE="+config)
	}
	if !slices.ContainsFunc(kept, func(v string) bool { return strings.HasPrefix(v, "AWS_EC2_METADATA_DISABLED=") }) {
		kept = append(kept, "AWS_EC2_METADATA_DISABLED=true") // else it waits for a service that only a cloud's machines have
	}
	return append(kept, "TF_IN_AUTOMATION=1", "TF_INPUT=0", "CHECKPOINT_DISABLE=1"), mirrored
}

// Workspace is where the tool works on one site.
type Workspace struct {
	Site    string
	Dir     string // the site's environment, kubernetes/terraform/envs/<site>
	Data    string // TF_DATA_DIR: modules, providers, what the backend is
	Kept    string // folder of plans
	Tool    Tool
	Environ []string // see Environment
	Backend []string // arguments -backend-config of init
	Files   []string // that a plan follows from too, outside the Terraform tree
	// Built names the providers when they were built here: their checksums are not those of
	// the registry, which the lock file of the environment holds.
	Built string
	// InitAlone, when set, is held while init runs: the tool's cache of providers
	// (TF_PLUGIN_CACHE_DIR) does not bear two at a time.
	InitAlone *sync.Mutex
	Root      string   // of the repository
	Progress  Progress // may be nil
}

// Progress is told what is under way.
type Progress interface {
	Set(name, text string)
	Print(text string)
}

func (w *Workspace) set(text string) {
	if w.Progress != nil {
		w.Progress.Set(w.Site, text)
	}
}

// command is one run of the tool.
func (w *Workspace) command(args ...string) tool.Command {
	return tool.Command{
		Name: w.Tool.Path, Args: args, Dir: w.folder(),
		Env: append(slices.Clone(w.Environ), "TF_DATA_DIR="+w.Data),
	}
}

// Init makes the modules, the providers and the backend ready. It does nothing when all they
// follow from is as it was.
func (w *Workspace) Init(ctx context.Context) error {
	w.set("init")
	if err := os.MkdirAll(w.Data, 0o700); err != nil {
		return fmt.Errorf("making a folder for %s: %w", w.Tool.Name, err)
	}
	stamp, err := w.digest(true)
	if err != nil {
		return err
	}
	file := filepath.Join(w.Data, "archipel-init")
	if before, err := os.ReadFile(file); err == nil && string(before) == stamp {
		return nil
	}
	if err := w.shadow(); err != nil {
		return err
	}
	// The folder is archipel's own, and no state lies in it: there is none to move when the
	// backend is set otherwise than before.
	if w.InitAlone != nil {
		w.InitAlone.Lock()
		defer w.InitAlone.Unlock()
	}
	args := append([]string{"init", "-input=false", "-no-color", "-reconfigure"}, w.Backend...)
	if _, err := tool.Run(ctx, w.command(args...)); err != nil {
		return w.explain(ctx, "init", nil, err)
	}
	if stamp, err = w.digest(true); err != nil { // init may have completed the lock file
		return err
	}
	if err := os.WriteFile(file, []byte(stamp), 0o600); err != nil {
		return fmt.Errorf("noting that init was run: %w", err)
	}
	return nil
}

// Forget makes the next Init run, whatever was noted.
func (w *Workspace) Forget() { _ = os.Remove(filepath.Join(w.Data, "archipel-init")) }

// folder is where the tool runs: in the site's environment, or in its shadow.
func (w *Workspace) folder() string {
	if w.Built == "" {
		return w.Dir
	}
	relative, err := filepath.Rel(w.Root, w.Dir)
	if err != nil {
		return w.Dir
	}
	return filepath.Join(w.Data+"-shadow", relative)
}

// shadow makes a tree of links to the repository in which the environment has no lock file:
// the tool compares the providers with it, and writes to it. The one of the repository holds
// the checksums of the registry, and stays as it is. A state is not linked: init would move it.
func (w *Workspace) shadow() error {
	if w.Built == "" {
		return nil
	}
	if err := w.link(); err != nil {
		return fmt.Errorf("preparing %s for providers that were built here: %w", w.Site, err)
	}
	return nil
}

func (w *Workspace) link() error {
	env := w.folder()
	if err := os.RemoveAll(w.Data + "-shadow"); err != nil {
		return err
	}
	if err := os.MkdirAll(env, 0o700); err != nil {
		return err
	}
	envs, shadowEnvs := filepath.Dir(w.Dir), filepath.Dir(env)
	for _, level := range []struct{ from, to, except string }{
		{w.Dir, env, ".terraform.lock.hcl"},
		{filepath.Dir(envs), filepath.Dir(shadowEnvs), filepath.Base(envs)},
		{filepath.Dir(filepath.Dir(envs)), filepath.Dir(filepath.Dir(shadowEnvs)), filepath.Base(filepath.Dir(envs))},
	} {
		entries, err := os.ReadDir(level.from)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.Name() == level.except || entry.Name() == ".terraform" || strings.Contains(entry.Name(), ".tfstate") {
				continue
			}
			if err := os.Symlink(filepath.Join(level.from, entry.Name()), filepath.Join(level.to, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
