package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"archipel/internal/store"
	"archipel/internal/term"
	"archipel/internal/terraform"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

type doctorOptions struct {
	infraFlags
	output    string
	free, yes bool
}

func newStateDoctorCmd(env *Env) *cobra.Command {
	var options doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor [SITE]",
		Short: "Say whether states are safe, and who holds their locks",
		Long: `Ask the store of states: does it keep earlier versions, does it encrypt, is it
private, and does it refuse to write what is there already, which a lock file
needs (this writes and deletes an object of its own). Then for each site: how
old the state is, how many earlier versions there are, whether it is whole, who
holds the lock, since when and from where, and whether that still runs.

--free frees the lock of SITE, and asks first. Free one only when nothing runs
that holds it: else two write the same state.

Exit codes: 0 nothing to do; 1 something is wrong, or locked; 2 bad usage or
configuration; 3 the store does not answer.`,
		Example: `  archipel state doctor
  archipel state doctor site-a --free`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeOneSite(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runStateDoctor(cmd.Context(), env, args, options)
		},
	}
	addOutputFlag(cmd, &options.output)
	addBackendFlag(cmd, &options.infraFlags)
	cmd.Flags().BoolVar(&options.free, "free", false, "free the lock of SITE")
	cmd.Flags().BoolVarP(&options.yes, "yes", "y", false, "do not ask")
	return cmd
}

// storeReport is what the store as a whole is like, in JSON.
type storeReport struct {
	Bucket      string `json:"bucket"`
	Lock        string `json:"lock"`
	Versions    string `json:"versions"` // yes, no or unknown, as the next two
	Encrypted   string `json:"encrypted"`
	Private     string `json:"private"`
	Conditional string `json:"conditional_writes"` // yes, or why not
}

// stateReport is what one site's state is like, in JSON.
type stateReport struct {
	Site     string       `json:"site"`
	Serial   int64        `json:"serial"`
	Written  *time.Time   `json:"written,omitempty"`
	Tool     string       `json:"written_by,omitempty"`
	Managed  int          `json:"resources"`
	Backups  int          `json:"earlier_versions"`
	Torn     bool         `json:"torn"`
	Locks    []lockReport `json:"locks"`
	state    *store.State
	problems []string
}

type lockReport struct {
	ID        string    `json:"id"`
	Who       string    `json:"who"`
	Operation string    `json:"operation"`
	Since     time.Time `json:"since"`
	Where     string    `json:"where"`
	Stale     string    `json:"stale"` // yes, no or unknown
	Because   string    `json:"because"`
}

func runStateDoctor(ctx context.Context, env *Env, names []string, options doctorOptions) error {
	if options.free && len(names) == 0 {
		return hintError{usageError{fmt.Errorf("--free needs a site")}, "archipel state doctor SITE --free"}
	}
	scene, err := openState(env, names, options.infraFlags)
	if err != nil {
		return err
	}
	defer scene.Close()
	if err := scene.readyStore(ctx); err != nil {
		return err
	}
	if options.free {
		return scene.free(ctx, names[0], options.yes)
	}
	about, problems, err := scene.storeReport(ctx)
	if err != nil {
		return scene.explainStore(err)
	}
	reports, err := scene.stateReports(ctx)
	if err != nil {
		return scene.explainStore(err)
	}
	wrong := len(problems) > 0
	for _, r := range reports {
		wrong = wrong || len(r.problems) > 0
	}
	if options.output == outputJSON {
		encoder := json.NewEncoder(env.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(map[string]any{"store": about, "sites": reports}); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
	} else if err := scene.showDoctor(about, problems, reports); err != nil {
		return err
	}
	if wrong {
		return statusError(exitFindings)
	}
	return nil
}

// storeReport asks what the store as a whole is like, and what of it is wrong.
func (s *infraScene) storeReport(ctx context.Context) (storeReport, []string, error) {
	about := storeReport{Bucket: s.backend.Bucket, Lock: string(s.backend.Lock())}
	var problems []string
	for _, question := range []struct {
		answer  *string
		ask     func(context.Context) (bool, error)
		problem string
	}{
		{&about.Versions, s.store.Versioned, "the bucket keeps no earlier versions: a state that is written over is lost (archipel state backend init)"},
		{&about.Encrypted, s.store.Encrypted, "the bucket does not encrypt by itself (archipel state backend init)"},
		{&about.Private, s.store.Private, "nothing keeps the bucket from being opened to everybody (archipel state backend init)"},
	} {
		ok, err := question.ask(ctx)
		switch {
		case store.ReasonOf(err) == store.Unsupported, store.ReasonOf(err) == store.Refused:
			*question.answer = "unknown"
		case err != nil:
			return about, nil, err
		case ok:
			*question.answer = "yes"
		default:
			*question.answer = "no"
			problems = append(problems, question.problem)
		}
	}
	reason, err := s.store.Honours(ctx, ".archipel/probe-"+rand.Text())
	if err != nil {
		return about, nil, err
	}
	about.Conditional = cmp.Or(reason, "yes")
	if reason != "" && s.backend.Lockfile {
		problems = append(problems, "use_lockfile does not lock here, "+reason+": use dynamodb_table")
	}
	if s.backend.Lock() == terraform.NoLock {
		problems = append(problems, "nothing locks the states: set use_lockfile or dynamodb_table in "+s.backendPath)
	}
	return about, problems, nil
}

func (s *infraScene) stateReports(ctx context.Context) ([]*stateReport, error) {
	reports := make([]*stateReport, len(s.sites))
	group, ctx := errgroup.WithContext(ctx)
	const parallel = 8
	group.SetLimit(parallel)
	for i, site := range s.sites {
		group.Go(func() error {
			var err error
			reports[i], err = s.stateReport(ctx, site.Name)
			return err
		})
	}
	return reports, group.Wait()
}

func (s *infraScene) stateReport(ctx context.Context, site string) (*stateReport, error) {
	r := &stateReport{Site: site, Locks: []lockReport{}}
	var err error
	if r.state, err = s.store.State(ctx, terraform.Key(site)); err != nil {
		return nil, err
	}
	if state := r.state; state != nil {
		r.Serial, r.Tool, r.Managed, r.Backups, r.Torn = state.Serial, state.Tool, state.Resources, state.Backups, state.Torn
		if !state.Written.IsZero() {
			r.Written = &state.Written
		}
		switch {
		case state.Torn:
			r.problems = append(r.problems, "the table expects another content of the state: it was put back by hand, or an upload did not end; docs/how-to/recover-a-state.md")
		case state.Written.IsZero() && state.Backups > 0:
			r.problems = append(r.problems, "the state was deleted; earlier versions are there: docs/how-to/recover-a-state.md")
		}
	}
	locks, err := s.store.Locks(ctx, terraform.Key(site))
	if err != nil {
		return nil, err
	}
	for _, lock := range locks {
		l := lockReport{ID: lock.ID, Who: lock.Who, Operation: lock.Operation, Since: lock.Created, Where: lock.Where}
		l.Stale, l.Because = s.stale(site, lock)
		r.Locks = append(r.Locks, l)
		r.problems = append(r.problems, "locked")
	}
	return r, nil
}

// stale says whether who took a lock still runs, as far as this machine knows.
func (s *infraScene) stale(site string, lock store.Lock) (stale, because string) {
	host, err := os.Hostname()
	if _, where, ok := strings.Cut(lock.Who, "@"); err != nil || !ok || where != host {
		return "unknown", fmt.Sprintf("only %s knows whether it still runs", cmp.Or(lock.Who, "who took it"))
	}
	if running := toolsAt(site); len(running) > 0 {
		return "no", "it runs on this machine: process " + strings.Join(running, ", ")
	}
	return "yes", "nothing that could hold it runs on this machine, from which it was taken"
}

// toolsAt returns the processes of this machine that are a Terraform or an OpenTofu at a site.
func toolsAt(site string) []string {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []string
	for _, entry := range entries {
		name, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "comm"))
		if err != nil || !slices.Contains([]string{"terraform", "tofu"}, strings.TrimSpace(string(name))) {
			continue
		}
		// Where another user's process works cannot be read: it counts.
		dir, err := os.Readlink(filepath.Join("/proc", entry.Name(), "cwd"))
		if err != nil || filepath.Base(dir) == site {
			found = append(found, entry.Name())
		}
	}
	return found
}

func (s *infraScene) showDoctor(about storeReport, problems []string, reports []*stateReport) error {
	style := term.NewStyle(s.env.Stdout, s.env.Getenv)
	var b strings.Builder
	fmt.Fprintf(&b, "%s, locks: %s\n", s.store, about.Lock)
	fmt.Fprintf(&b, "  earlier versions: %s, encrypted: %s, private: %s, conditional writes: %s\n", about.Versions, about.Encrypted, about.Private, about.Conditional)
	for _, p := range problems {
		fmt.Fprintf(&b, "  %s %s\n", style.Paint(term.Bad, "wrong:"), p)
	}
	for _, r := range reports {
		b.WriteString("\n" + r.Site + "\n")
		switch {
		case r.state == nil:
			b.WriteString("  no state yet: nothing was applied\n")
		case r.Written != nil:
			fmt.Fprintf(&b, "  state: serial %d, %s, written %s ago by version %s, %s\n", r.Serial, plural(r.Managed, "resource"),
				term.Elapsed(s.env.Now().Sub(*r.Written)), term.Clean(r.Tool), plural(r.Backups, "earlier version"))
		}
		for _, p := range r.problems {
			if p != "locked" {
				fmt.Fprintf(&b, "  %s %s\n", style.Paint(term.Bad, "wrong:"), p)
			}
		}
		if len(r.Locks) == 0 {
			b.WriteString("  lock: free\n")
		}
		for _, l := range r.Locks {
			fmt.Fprintf(&b, "  %s by %s since %s (%s ago) for %s, in the %s\n    stale: %s, %s\n",
				style.Paint(term.Busy, "locked"), term.Clean(cmp.Or(l.Who, "nobody knows whom")), l.Since.UTC().Format(time.RFC3339), term.Elapsed(s.env.Now().Sub(l.Since)),
				term.Clean(strings.ToLower(strings.TrimPrefix(l.Operation, "OperationType"))), l.Where, l.Stale, term.Clean(l.Because))
			if l.Stale != "no" {
				fmt.Fprintf(&b, "    free it: %s state doctor %s --free\n", s.env.Program, r.Site)
			}
		}
	}
	_, err := fmt.Fprint(s.env.Stdout, b.String())
	return err
}

// free frees the lock of a site, once somebody has agreed.
func (s *infraScene) free(ctx context.Context, site string, yes bool) error {
	locks, err := s.store.Locks(ctx, terraform.Key(site))
	if err != nil {
		return s.explainStore(err)
	}
	if len(locks) == 0 {
		fmt.Fprintf(s.env.Stderr, "the state of %s is not locked\n", site)
		return nil
	}
	for _, lock := range locks {
		stale, because := s.stale(site, lock)
		if stale == "no" {
			return hintError{fmt.Errorf("the lock of %s is in use: %s", site, because), "wait for it, or end it"}
		}
		fmt.Fprintf(s.env.Stderr, "%s: locked by %s since %s in the %s; %s\n", site, term.Clean(cmp.Or(lock.Who, "nobody knows whom")), lock.Created.UTC().Format(time.RFC3339), lock.Where, term.Clean(because))
	}
	question := "If that still runs, two will write the same state. Type the site's name to free it: "
	if err := agreeWith(ctx, s.env, yes, "this frees a lock", question, site); err != nil {
		return err
	}
	for _, lock := range locks {
		if err := s.store.Free(ctx, terraform.Key(site), lock); err != nil {
			return s.explainStore(err)
		}
	}
	fmt.Fprintf(s.env.Stderr, "freed; next: %s plan %s, which shows what was left undone\n", s.env.Program, site)
	return nil
}
