package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"archipel/internal/chart"
	"archipel/internal/finding"
	"archipel/internal/fleet"
	"archipel/internal/policy"
	"archipel/internal/render"
	"archipel/internal/secret"
	"archipel/internal/source"
	"archipel/internal/term"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// outputYAML is a format of --output.
const outputYAML = "yaml"

type renderOptions struct {
	output      string
	only        []string
	path        string
	kubernetes  string
	offline     bool
	noCache     bool
	showSecrets bool
}

func newRenderCmd(env *Env) *cobra.Command {
	var options renderOptions
	cmd := &cobra.Command{
		Use:   "render" + sitesUse,
		Short: "Print what Flux would apply to every site",
		Long: `Print the objects that Flux would apply and Helm would install, without a
cluster: kustomize builds, variables, SOPS, nested Flux Kustomizations and
HelmReleases, as Flux's controllers do it. Above each object stands where it
comes from. Two runs print the same.

Charts and artefacts are fetched once, and kept in
$XDG_CACHE_HOME/archipel/charts. What cannot be had is left out, and named on
stderr with the reason. So is what Flux would refuse.

--path renders a repository of another shape: the folder that a cluster begins
with, for example clusters/my-cluster. The repository's root is the nearest
folder above it that holds .git, or else the one that its paths lead from.

Values of Secrets are masked, and those that were decrypted wherever they stand;
--show-secrets prints them. Encrypted values are opened with your age
identities: $SOPS_AGE_KEY, $SOPS_AGE_KEY_FILE, or sops/age/keys.txt in
$XDG_CONFIG_HOME.`,
		Example: `  archipel render site-a
  archipel render --only helmrelease/cilium
  archipel render --path clusters/my-cluster --output json`,
		ValidArgsFunction: completeSites(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRender(cmd.Context(), env, args, options)
		},
	}
	formats := []string{outputYAML, outputJSON}
	cmd.Flags().StringVarP(&options.output, "output", "o", outputYAML, "`format` of the answer: yaml or json")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(formats, options.output) {
			return hintError{usageError{fmt.Errorf("unknown format %q for --output", options.output)}, "use yaml or json"}
		}
		return nil
	}
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // fails for an unknown flag only
	cmd.Flags().StringArrayVar(&options.only, "only", nil, "print only `kind/name` (or kind/namespace/name); may be repeated")
	cmd.Flags().StringVar(&options.path, "path", "", "render this `folder` of any Flux repository instead of sites")
	cmd.Flags().StringVar(&options.kubernetes, "kubernetes", "", "the Kubernetes `version` that charts see with --path (default "+render.DefaultKubernetes+")")
	cmd.Flags().BoolVar(&options.noCache, "no-cache", false, "build everything anew, and keep no build")
	cmd.Flags().BoolVar(&options.showSecrets, "show-secrets", false, "print the values of Secrets")
	addOfflineFlag(cmd, &options.offline)
	return cmd
}

func runRender(ctx context.Context, env *Env, names []string, options renderOptions) error {
	only, err := parseOnly(options.only)
	if err != nil {
		return err
	}
	if options.path != "" {
		if len(names) > 0 {
			return usageError{errors.New("--path renders a folder, not sites: give one of the two")}
		}
		return renderPath(ctx, env, options, only)
	}
	repository, f, err := openFleet(env)
	if err != nil {
		return err
	}
	defer repository.Close()
	sites, err := selectSites(f, names)
	if err != nil {
		return err
	}
	renderer, err := openRenderer(env, repository, options)
	if err != nil {
		return err
	}
	results, err := renderSites(ctx, renderer, sites)
	if err != nil {
		return err
	}
	return showRender(env, repository, results, options, only)
}

func renderPath(ctx context.Context, env *Env, options renderOptions, only []objectName) error {
	dir := options.path
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(env.Dir, dir)
	}
	repository, entry, err := source.OpenAround(dir, render.Paths)
	if err != nil {
		return configError{err}
	}
	defer repository.Close()
	renderer, err := openRenderer(env, repository, options)
	if err != nil {
		return err
	}
	result, err := renderer.Path(ctx, entry)
	if err != nil {
		return err
	}
	return showRender(env, repository, []*render.Result{result}, options, only)
}

// openRenderer opens all that a renderer of a repository needs. The policy's and the
// lock's findings are printed.
func openRenderer(env *Env, repository *source.Repository, options renderOptions) (*render.Renderer, error) {
	p, findings := policy.Load(repository.FS())
	charts, lockFindings, err := openCharts(env, repository, p, options.offline)
	if err != nil {
		return nil, err
	}
	if err := refuse(env, repository, append(findings, lockFindings...)); err != nil {
		return nil, err
	}
	config, err := renderConfig(env, repository.FS(), charts)
	if err != nil {
		return nil, err
	}
	config.Kubernetes = options.kubernetes
	if options.noCache {
		config.Results = ""
	}
	return render.New(config), nil
}

// renderConfig is what every command renders with: the user's age identities, and the
// folder of kept builds.
func renderConfig(env *Env, files fs.FS, charts *chart.Store) (render.Config, error) {
	keys, err := secret.LoadKeyring(env.Getenv)
	if err != nil {
		return render.Config{}, configError{err}
	}
	cache, err := homeFolder(env, "XDG_CACHE_HOME", ".cache")
	if err != nil {
		return render.Config{}, err
	}
	return render.Config{
		FS: files, Charts: charts, Identities: keys.Identities,
		Results: filepath.Join(cache, "archipel", "render"), Program: programID(),
	}, nil
}

// programID tells this executable from one that was built otherwise.
func programID() string {
	name, err := os.Executable()
	if err != nil {
		return ""
	}
	info, err := os.Stat(name)
	if err != nil {
		return ""
	}
	return fmt.Sprint(name, info.Size(), info.ModTime().UnixNano())
}

// renderSites renders sites at the same time, in the fleet's order.
func renderSites(ctx context.Context, renderer *render.Renderer, sites []*fleet.Site) ([]*render.Result, error) {
	results := make([]*render.Result, len(sites))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, site := range sites {
		group.Go(func() error {
			var err error
			results[i], err = renderer.Site(ctx, site)
			return err
		})
	}
	return results, group.Wait()
}

// objectName is what --only names: a kind, a name, and a namespace or "".
type objectName struct{ kind, namespace, name string }

func parseOnly(texts []string) ([]objectName, error) {
	var names []objectName
	for _, text := range texts {
		parts := strings.Split(text, "/")
		if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
			return nil, hintError{usageError{fmt.Errorf("%q does not name an object", text)}, "write kind/name or kind/namespace/name, for example deployment/whoami"}
		}
		n := objectName{kind: parts[0], name: parts[len(parts)-1]}
		if len(parts) == 3 {
			n.namespace = parts[1]
		}
		names = append(names, n)
	}
	return names, nil
}

func (n objectName) is(o *render.Object) bool {
	return strings.EqualFold(n.kind, o.GetKind()) && n.name == o.GetName() && (n.namespace == "" || n.namespace == o.GetNamespace())
}

// showRender prints what was asked for on stdout, and on stderr what Flux would refuse
// and what was left out.
func showRender(env *Env, repository *source.Repository, results []*render.Result, options renderOptions, only []objectName) error {
	found := false
	for _, r := range results {
		if len(only) > 0 {
			r.Objects = slices.DeleteFunc(r.Objects, func(o *render.Object) bool {
				return !slices.ContainsFunc(only, func(n objectName) bool { return n.is(o) })
			})
		}
		found = found || len(r.Objects) > 0
	}
	printer := objectPrinter{show: options.showSecrets, written: map[any][]byte{}}
	var err error
	if options.output == outputJSON {
		err = printer.json(env, results)
	} else {
		err = printer.yaml(env, results)
	}
	if err != nil {
		return err
	}
	var findings []finding.Finding
	for _, r := range results {
		findings = append(findings, r.Findings...)
	}
	findings = finding.Dedup(findings)
	if len(findings) > 0 {
		style := term.NewStyle(env.Stderr, env.Getenv)
		if err := finding.Text(env.Stderr, repository.FS(), findings, style.Colour); err != nil {
			return err
		}
	}
	showSkipped(env, results)
	if slices.ContainsFunc(findings, isError) {
		return statusError(exitFindings)
	}
	if len(only) > 0 && !found {
		fmt.Fprintf(env.Stderr, "nothing is called %s\n", strings.Join(options.only, " or "))
		return statusError(exitFindings)
	}
	return nil
}

// showSkipped says once for each reason what was left out, and at which sites.
func showSkipped(env *Env, results []*render.Result) {
	type of struct{ code, reason string }
	objects := map[of]map[string]bool{}
	sites := map[of]map[string]bool{}
	for _, r := range results {
		for _, s := range r.Skipped {
			key := of{s.Code, s.Reason}
			if objects[key] == nil {
				objects[key], sites[key] = map[string]bool{}, map[string]bool{}
			}
			objects[key][cmp.Or(s.Object, "something")] = true
			if r.Site != "" {
				sites[key][r.Site] = true
			}
		}
	}
	keys := slices.SortedFunc(maps.Keys(objects), func(a, b of) int {
		return cmp.Or(strings.Compare(a.code, b.code), strings.Compare(a.reason, b.reason))
	})
	for _, key := range keys {
		where := ""
		if names := slices.Sorted(maps.Keys(sites[key])); len(names) > 0 {
			where = " (" + shortList(names) + ")"
		}
		fmt.Fprintf(env.Stderr, "skipped: %s%s, because %s [%s]\n",
			term.Clean(shortList(slices.Sorted(maps.Keys(objects[key])))), where, term.Clean(key.reason), key.code)
	}
}

// shortList names a few, and counts the rest.
func shortList(names []string) string {
	const shown = 5
	if len(names) > shown+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
	}
	return strings.Join(names, ", ")
}

// objectPrinter writes objects, each content once.
type objectPrinter struct {
	show    bool
	written map[any][]byte // of objects that sites share
}

func (p *objectPrinter) yaml(env *Env, results []*render.Result) error {
	out := bufio.NewWriterSize(env.Stdout, 1<<16)
	for _, r := range results {
		for _, o := range r.Objects {
			fmt.Fprintf(out, "---\n# %s\n", term.Clean(title(r, o)))
			for _, line := range originLines(o) {
				fmt.Fprintf(out, "# %s\n", term.Clean(line))
			}
			_, _ = out.Write(p.text(r, o)) // Flush returns the error
		}
	}
	return out.Flush()
}

func (p *objectPrinter) text(r *render.Result, o *render.Object) []byte {
	if text, ok := p.written[o.Unstructured]; ok {
		return text
	}
	object, masked := p.masked(r, o)
	text := render.YAML(object)
	if !masked { // what is secret may differ between sites
		p.written[o.Unstructured] = text
	}
	return text
}

// masked is what may be printed of an object.
func (p *objectPrinter) masked(r *render.Result, o *render.Object) (object map[string]any, masked bool) {
	if p.show {
		return o.Object, false
	}
	return r.Masked(o)
}

func title(r *render.Result, o *render.Object) string {
	name := o.GetKind() + " " + strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/")
	if r.Site == "" {
		return name
	}
	return r.Site + ": " + name
}

// originLines say where an object comes from.
func originLines(o *render.Object) []string {
	var from []string
	if at := o.Origin.Position; at.File != "" {
		text := at.File
		if at.Line > 0 {
			text = fmt.Sprintf("%s:%d", text, at.Line)
		}
		from = append(from, text)
	}
	if k := o.Origin.Kustomization; k != nil {
		from = append(from, "Kustomization "+k.Namespace+"/"+k.Name)
	}
	if release := o.Origin.Release; release != nil {
		from = append(from, "HelmRelease "+release.Namespace+"/"+release.Name)
	}
	if o.Origin.Template != "" {
		from = append(from, o.Origin.Template)
	}
	var lines []string
	if len(from) > 0 {
		lines = append(lines, "from "+strings.Join(from, ", "))
	}
	if o.Origin.Hook {
		lines = append(lines, "a Helm hook: it runs on the way, and does not stay")
	}
	if o.Origin.Opaque {
		lines = append(lines, "some of its values are encrypted, and no age identity at hand opens them")
	}
	if len(o.Origin.Unsure) > 0 {
		lines = append(lines, "some of its values differ at each installation: "+strings.Join(o.Origin.Unsure, ", "))
	}
	return lines
}

// renderedSite is a site in JSON.
type renderedSite struct {
	Site    string           `json:"site,omitempty"`
	Objects []renderedObject `json:"objects"`
	Skipped []renderedSkip   `json:"skipped"`
}

type renderedObject struct {
	Origin renderedOrigin `json:"origin"`
	Object map[string]any `json:"object"`
}

type renderedOrigin struct {
	File          string   `json:"file,omitempty"`
	Line          int      `json:"line,omitempty"`
	Kustomization string   `json:"kustomization,omitempty"`
	HelmRelease   string   `json:"helmRelease,omitempty"`
	Template      string   `json:"template,omitempty"`
	Hook          bool     `json:"hook,omitempty"`
	CRD           bool     `json:"crd,omitempty"`
	Opaque        bool     `json:"opaque,omitempty"`
	Unsure        []string `json:"unsure,omitempty"`
}

type renderedSkip struct {
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Object string `json:"object,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
}

func (p *objectPrinter) json(env *Env, results []*render.Result) error {
	sites := []renderedSite{}
	for _, r := range results {
		site := renderedSite{Site: r.Site, Objects: []renderedObject{}, Skipped: []renderedSkip{}}
		for _, o := range r.Objects {
			object, _ := p.masked(r, o)
			at := o.Origin
			origin := renderedOrigin{
				File: at.Position.File, Line: at.Position.Line, Template: at.Template,
				Hook: at.Hook, CRD: at.CRD, Opaque: at.Opaque, Unsure: at.Unsure,
			}
			if at.Kustomization != nil {
				origin.Kustomization = at.Kustomization.Namespace + "/" + at.Kustomization.Name
			}
			if at.Release != nil {
				origin.HelmRelease = at.Release.Namespace + "/" + at.Release.Name
			}
			site.Objects = append(site.Objects, renderedObject{origin, object})
		}
		for _, s := range r.Skipped {
			site.Skipped = append(site.Skipped, renderedSkip{s.Code, s.Reason, s.Object, s.Position.File, s.Position.Line})
		}
		sites = append(sites, site)
	}
	var out bytes.Buffer
	if err := writeJSON(&out, map[string]any{"sites": sites}); err != nil {
		return err
	}
	_, err := env.Stdout.Write(out.Bytes())
	return err
}
