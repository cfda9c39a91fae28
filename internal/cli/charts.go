package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"archipel/internal/chart"
	"archipel/internal/finding"
	"archipel/internal/policy"
	"archipel/internal/source"
	"archipel/internal/term"

	"github.com/spf13/cobra"
)

// addOfflineFlag adds --offline to a command that may fetch charts.
func addOfflineFlag(cmd *cobra.Command, offline *bool) {
	cmd.Flags().BoolVar(offline, "offline", false, "never touch the network; what is not in the cache is skipped")
}

// openCharts returns the store of the charts that a repository refers to, with
// its lock and the mirrors of its policy. The findings are those of the lock.
func openCharts(env *Env, repository *source.Repository, p *policy.Policy, offline bool) (*chart.Store, []finding.Finding, error) {
	config, err := chartConfig(env, p, offline)
	if err != nil {
		return nil, nil, err
	}
	lock, findings := chart.ReadLock(repository.FS())
	config.Lock = lock
	return chart.New(config), findings, nil
}

// chartConfig is the configuration of a store without a lock.
func chartConfig(env *Env, p *policy.Policy, offline bool) (chart.Config, error) {
	cache, err := homeFolder(env, "XDG_CACHE_HOME", ".cache")
	if err != nil {
		return chart.Config{}, err
	}
	docker := env.Getenv("DOCKER_CONFIG")
	if home := env.Getenv("HOME"); docker == "" && filepath.IsAbs(home) {
		docker = filepath.Join(home, ".docker")
	}
	var mu sync.Mutex
	return chart.Config{
		Cache: filepath.Join(cache, "archipel", "charts"), Mirrors: p.Mirrors, Offline: offline, Docker: docker,
		Progress: func(doing string) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintln(env.Stderr, term.Clean(doing))
		},
	}, nil
}

// refuse prints findings on stderr, and ends the command when one of them is an error.
func refuse(env *Env, repository *source.Repository, findings []finding.Finding) error {
	if len(findings) == 0 {
		return nil
	}
	style := term.NewStyle(env.Stderr, env.Getenv)
	if err := finding.Text(env.Stderr, repository.FS(), findings, style.Colour); err != nil {
		return err
	}
	if slices.ContainsFunc(findings, isError) {
		return statusError(exitUsage)
	}
	return nil
}

func isError(f finding.Finding) bool { return f.Severity == finding.Error }
