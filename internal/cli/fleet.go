package cli

import (
	"fmt"
	"slices"

	"archipel/internal/finding"
	"archipel/internal/fleet"
	"archipel/internal/source"
	"archipel/internal/term"

	"github.com/spf13/cobra"
)

// openFleet loads the fleet of the repository that env.Dir is in. Findings are
// printed; an error among them ends the command, because nothing that follows
// would be right.
func openFleet(env *Env) (*source.Repository, *fleet.Fleet, error) {
	repository, err := source.Open(env.Dir)
	if err != nil {
		return nil, nil, configError{err}
	}
	f, findings := fleet.Load(repository.FS())
	if len(findings) > 0 {
		style := term.NewStyle(env.Stderr, env.Getenv)
		if err := finding.Text(env.Stderr, repository.FS(), findings, style.Colour); err != nil {
			return nil, nil, err
		}
	}
	if slices.ContainsFunc(findings, func(f finding.Finding) bool { return f.Severity == finding.Error }) {
		repository.Close()
		return nil, nil, statusError(exitUsage)
	}
	return repository, f, nil
}

// selectSites returns the named sites, or all of them.
func selectSites(f *fleet.Fleet, names []string) ([]*fleet.Site, error) {
	sites, err := f.Select(names)
	if err != nil {
		return nil, usageError{err}
	}
	return sites, nil
}

// completeSites offers the names of the fleet's sites that are not given yet.
func completeSites(env *Env) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		repository, err := source.Open(env.Dir)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer repository.Close()
		f, _ := fleet.Load(repository.FS())
		var names []string
		for _, site := range f.Sites {
			if !slices.Contains(args, site.Name) {
				names = append(names, site.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// sitesUse documents a command that takes sites.
const sitesUse = " [site...]"

func plural(n int, noun string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
