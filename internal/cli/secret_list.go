package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"archipel/internal/finding"
	"archipel/internal/secret"
	"archipel/internal/term"

	"github.com/spf13/cobra"
)

func newSecretListCmd(env *Env) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list" + sitesUse,
		Short: "List encrypted files, who can read them, and expiry",
		Long: `List the encrypted files: who can read each as .sops.yaml names them, when a
value was last written, and when a certificate in it expires, which takes an
identity that opens it. No value is shown.`,
		Example: `  archipel secret list
  archipel secret list site-a --output json`,
		ValidArgsFunction: completeSites(env),
		RunE: func(_ *cobra.Command, args []string) error {
			return runSecretList(env, args, output)
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func runSecretList(env *Env, names []string, output string) error {
	scene, _, sites, err := openSecretFleet(env, names)
	if err != nil {
		return err
	}
	defer scene.Close()
	entries, _, err := secret.List(scene.store, scene.keys.Identities)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		entries = slices.DeleteFunc(entries, func(e secret.Entry) bool {
			for _, site := range sites {
				if site.Name == e.Site {
					return false
				}
			}
			return true
		})
	}
	if output == outputJSON {
		return writeJSON(env.Stdout, map[string]any{"secrets": entries})
	}
	if len(entries) == 0 {
		fmt.Fprintln(env.Stderr, "there are no encrypted files; archipel secret init makes what the fleet needs")
		return nil
	}
	return secretTable(env, entries)
}

func secretTable(env *Env, entries []secret.Entry) error {
	table := term.Table{}
	table.Row(cells("FILE", "READERS", "VALUES", "AGE", "EXPIRES", "OPENS")...)
	for _, e := range entries {
		var readers []string
		for _, reader := range e.Readers {
			readers = append(readers, reader.Label())
		}
		opens := "no"
		if e.Opens {
			opens = "yes"
		}
		if e.Problem != "" {
			opens = e.Problem
		}
		age, expires := "", ""
		if !e.Modified.IsZero() {
			age = shortAge(env.Now().Sub(e.Modified))
		}
		if !e.Expires.IsZero() {
			expires = e.Expires.Format(time.DateOnly)
		}
		table.Row(cells(term.Clean(e.File), term.Clean(strings.Join(readers, ",")), fmt.Sprint(len(e.Values)), age, expires, opens)...)
	}
	return table.Write(env.Stdout, term.NewStyle(env.Stdout, env.Getenv))
}

// shortAge writes an age in its largest unit, as kubectl does.
func shortAge(age time.Duration) string {
	switch days := int(age.Hours() / 24); {
	case days > 0:
		return fmt.Sprintf("%dd", days)
	case age >= time.Hour:
		return fmt.Sprintf("%dh", int(age.Hours()))
	case age >= time.Minute:
		return fmt.Sprintf("%dm", int(age.Minutes()))
	}
	return fmt.Sprintf("%ds", max(0, int(age.Seconds())))
}

type secretDoctorOptions struct {
	output, kubeconfig string
	offline            bool
}

func newSecretDoctorCmd(env *Env) *cobra.Command {
	var options secretDoctorOptions
	cmd := &cobra.Command{
		Use:   "doctor" + sitesUse,
		Short: "Explain what is wrong with keys and encrypted files",
		Long: `Compare the recipients of every file with .sops.yaml, try your identities on
them, verify checksums, look at expiry, and compare the identities in each
cluster's Secret flux-system/sops-age with those in Git. A cluster that cannot
be reached is said to be left out.

Exit codes: 0 nothing is wrong; 1 something is.`,
		Example: `  archipel secret doctor
  archipel secret doctor site-a --offline`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSecretDoctor(cmd.Context(), env, args, options)
		},
	}
	addOutputFlag(cmd, &options.output)
	cmd.Flags().BoolVar(&options.offline, "offline", false, "ask no cluster")
	cmd.Flags().StringVar(&options.kubeconfig, "kubeconfig", "", "`file` with a context per site")
	return cmd
}

func runSecretDoctor(ctx context.Context, env *Env, names []string, options secretDoctorOptions) error {
	scene, f, sites, err := openSecretFleet(env, names)
	if err != nil {
		return err
	}
	defer scene.Close()
	open := secretClusters(env, options.kubeconfig)
	if options.offline {
		open = nil
	}
	only := *f
	only.Sites = sites
	d, err := secret.Doctor(ctx, scene.store, &only, scene.keys, open, env.Now())
	if err != nil {
		return err
	}
	if len(names) > 0 {
		d.Findings = slices.DeleteFunc(d.Findings, func(f finding.Finding) bool {
			return len(f.Sites) > 0 && !slices.ContainsFunc(f.Sites, func(site string) bool { return slices.Contains(names, site) })
		})
	}
	if options.output == outputJSON {
		err = finding.JSON(env.Stdout, d.Findings)
	} else {
		err = showDiagnosis(env, scene, d)
	}
	if err == nil && len(d.Findings) > 0 {
		return statusError(exitFindings)
	}
	return err
}

func showDiagnosis(env *Env, scene *secretScene, d *secret.Diagnosis) error {
	for _, source := range d.Identities {
		for _, recipient := range source.Recipients {
			opened := 0
			for _, e := range d.Entries {
				if slices.ContainsFunc(e.Readers, func(r secret.RecipientName) bool { return r.Recipient == recipient }) {
					opened++
				}
			}
			fmt.Fprintf(env.Stdout, "identity %s in %s: a reader of %d of %s\n", recipient, term.Clean(source.Place), opened, plural(len(d.Entries), "file"))
		}
	}
	for _, e := range d.Entries {
		if !e.Opens && e.Problem == "" {
			fmt.Fprintf(env.Stdout, "opened by none of yours: %s\n", term.Clean(e.File))
		}
	}
	for _, site := range slices.Sorted(maps.Keys(d.Unseen)) {
		fmt.Fprintf(env.Stdout, "left out: the cluster of %s: %s\n", site, term.Clean(d.Unseen[site]))
	}
	style := term.NewStyle(env.Stdout, env.Getenv)
	if err := finding.Text(env.Stdout, scene.repository.FS(), d.Findings, style.Colour); err != nil {
		return err
	}
	if len(d.Findings) == 0 {
		fmt.Fprintf(env.Stdout, "%s, nothing is wrong\n", plural(len(d.Entries), "encrypted file"))
	}
	return nil
}
