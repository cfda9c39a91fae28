package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"archipel/internal/lab"
	"archipel/internal/term"

	"github.com/spf13/cobra"
)

func newLabVerifyCmd(env *Env, name *string) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "verify" + sitesUse,
		Short: "Compare what render computes with what Flux has applied",
		Long: `Compare every object that archipel render computes for the revision that runs in
the lab with what the real Flux has applied there. Each is applied in a dry run
under the name of Flux's controller, so that the API server itself says which
fields would change; its defaults do not count. What Flux has applied and render
does not have is a difference too.

Exit codes: 0 no difference; 1 differences; 3 could not finish.`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLabVerify(cmd.Context(), env, *name, args, output)
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func runLabVerify(ctx context.Context, env *Env, name string, names []string, output string) error {
	scene, err := openLabScene(env, name, names)
	if err != nil {
		return err
	}
	defer scene.repository.Close()
	if scene.sites, err = scene.raisedSites(names); err != nil {
		return err
	}
	if len(scene.sites) == 0 {
		return hintError{errors.New("the lab holds none of these sites"), "archipel lab up raises them"}
	}
	var all []*lab.Verification
	differences := 0
	for _, site := range scene.sites {
		v, err := scene.lab.Verify(ctx, site.Name, userIdentities(env))
		if err != nil {
			return err
		}
		all = append(all, v)
		differences += len(v.Differences)
		if output == outputText {
			showVerification(env.Stdout, v)
		}
	}
	if output == outputJSON {
		if err := writeJSON(env.Stdout, map[string]any{"sites": all}); err != nil {
			return err
		}
	}
	if differences > 0 {
		return statusError(exitFindings)
	}
	return nil
}

func showVerification(w io.Writer, v *lab.Verification) {
	for _, d := range v.Differences {
		if d.Message != "" {
			fmt.Fprintf(w, "%s: %s: %s\n", v.Site, term.Clean(d.Object), term.Clean(d.Message))
			continue
		}
		fmt.Fprintf(w, "%s: %s: %s: rendered %s, live %s\n", v.Site, term.Clean(d.Object), term.Clean(d.Path), shownValue(d.Rendered), shownValue(d.Live))
	}
	for _, text := range v.NotCompared {
		fmt.Fprintf(w, "%s: not compared: %s\n", v.Site, term.Clean(text))
	}
	fmt.Fprintf(w, "%s: %s compared at %s, %s\n", v.Site, plural(v.Compared, "object"), shortRevisions(v.Revision), plural(len(v.Differences), "difference"))
}

// shownValue is a value on one line, at most so long that a person reads it.
func shownValue(value any) string {
	if value == nil {
		return "nothing"
	}
	data, err := json.Marshal(value)
	if err != nil {
		return "something"
	}
	const longest = 200
	if text := []rune(term.Clean(string(data))); len(text) > longest {
		return string(text[:longest]) + "..."
	}
	return term.Clean(string(data))
}
