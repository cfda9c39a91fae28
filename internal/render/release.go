package render

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/helm"
)

// releaseInput is a HelmRelease and the site that it is on.
type releaseInput struct {
	object        *Object // the HelmRelease, after substitution
	kustomization *Kustomization
	kubeVersion   string   // as the API server says it, for example "v1.36.4+k3s1"
	apiVersions   []string // that it serves: "v1", "apps/v1", "apps/v1/Deployment"
	// find returns an object that the site declares; nil when there is none.
	find func(kind, namespace, name string) *Object
	// source returns what the result says of a source; nil when it does not know it.
	source func(*Object) *Source
	// tree returns the files of a GitRepository or a Bucket, or why they cannot be had.
	tree func(*Object) (*tree, *Skip)
	// clusterScoped returns whether objects of a kind stand in no namespace.
	clusterScoped func(group, kind string) (cluster, known bool)
}

// releaseOutput is what a HelmRelease leads to.
type releaseOutput struct {
	release  *Release
	objects  []*Object
	secrets  []string // what Secrets gave to the values: never to be shown
	skipped  []Skip
	findings []finding.Finding
}

func (in releaseInput) name() string {
	return "HelmRelease " + in.object.GetNamespace() + "/" + in.object.GetName()
}

func (in releaseInput) problem(rule, message, fix string) *finding.Finding {
	return &finding.Finding{
		Rule: rule, Severity: finding.Error, Position: in.object.Origin.Position,
		Message: in.name() + ": " + message, Fix: fix,
	}
}

func (in releaseInput) skip(code, reason string) *Skip {
	return &Skip{Code: code, Reason: reason, Object: in.name(), Position: in.object.Origin.Position}
}

// release renders what helm-controller 1.6 installs for a HelmRelease, as on the first
// installation: lookup finds nothing, and .Release.IsInstall is true.
func (r *Renderer) release(ctx context.Context, in releaseInput) releaseOutput {
	namespace := in.object.GetNamespace()
	out := releaseOutput{release: &Release{Namespace: namespace, Name: in.object.GetName(), Object: in.object}}
	fail := func(f *finding.Finding) releaseOutput {
		out.findings = append(out.findings, *f)
		return out
	}
	var s releaseSpec
	err := readSpec(in.object.Unstructured, &s)
	if err == nil {
		err = s.validate()
	}
	if err != nil {
		return fail(in.problem("helmrelease-invalid", line(err), "correct it"))
	}
	release := out.release
	release.TargetNamespace = cmp.Or(s.TargetNamespace, namespace)
	release.StorageNamespace = cmp.Or(s.StorageNamespace, namespace)
	name := s.ReleaseName
	if name == "" {
		if name = in.object.GetName(); s.TargetNamespace != "" {
			name = s.TargetNamespace + "-" + name
		}
	}
	release.ReleaseName = shortName(name)
	values := in.mergeValues(&s)
	out.secrets, release.SecretValues, release.Values = values.secrets, values.secret || in.object.Origin.Decrypted, values.values

	from := r.chartOf(ctx, in, &s)
	release.Chart = from.info
	if len(s.KubeConfig) > 0 {
		out.skipped = append(out.skipped, *in.skip("cluster-elsewhere", "it installs into another cluster (spec.kubeConfig), not into this one"))
		return out
	}
	if in.object.Origin.Opaque {
		out.skipped = append(out.skipped, *in.skip("values-secret-opaque", "the HelmRelease holds values that cannot be decrypted here: give a key that can"))
		return out
	}
	for _, problem := range []*finding.Finding{values.problem, from.problem} {
		if problem != nil {
			out.findings = append(out.findings, *problem)
		}
	}
	for _, skip := range []*Skip{values.skip, from.skip} {
		if skip != nil {
			out.skipped = append(out.skipped, *skip)
		}
	}
	if len(out.findings) > 0 || values.skip != nil || from.chart == nil {
		return out
	}
	made, err := r.install(ctx, in, &s, release, from)
	if err != nil {
		if ctx.Err() == nil { // the renderer reports that ctx ended
			problem := in.explain(err)
			problem.Message = masked(problem.Message, values.secrets)
			out.findings = append(out.findings, *problem)
		}
		return out
	}
	release.Rendered = true
	for _, p := range r.placed(in, &s, release, made) {
		out.objects = append(out.objects, &Object{Unstructured: p.object, Origin: Origin{
			Position: in.object.Origin.Position, Kustomization: in.kustomization, Release: release,
			Template: p.template, Hook: p.hook, CRD: p.crd, Unsure: p.unsure,
		}})
	}
	out.skipped = append(out.skipped, in.unsure(made.unsure)...)
	return out
}

// masked is a message without what Secrets gave: a template may quote what it was given.
func masked(message string, secrets []string) string {
	for _, secret := range secrets {
		for _, form := range []string{secret, strings.TrimSpace(secret), strings.Join(strings.Fields(secret), " "), base64.StdEncoding.EncodeToString([]byte(secret))} {
			if form != "" {
				message = strings.ReplaceAll(message, form, "***")
			}
		}
	}
	return message
}

// unsure says which values of a release nobody can know here.
func (in releaseInput) unsure(functions []string) []Skip {
	var skips []Skip
	random := slices.DeleteFunc(slices.Clone(functions), func(name string) bool { return name == "lookup" })
	if len(random) < len(functions) {
		skips = append(skips, *in.skip("chart-lookup", "the chart looks at what is in the cluster (lookup): rendered as where nothing is yet"))
	}
	if len(random) > 0 {
		skips = append(skips, *in.skip("chart-random", "the chart makes values anew at each rendering ("+strings.Join(random, ", ")+
			"): placeholders stand in their place, and Flux upgrades the release whenever it renders it"))
	}
	return skips
}

// explain makes a finding of what Helm or a post-renderer refuses.
func (in releaseInput) explain(err error) *finding.Finding {
	var post *postError
	if errors.As(err, &post) {
		return in.problem(post.rule, post.message, post.fix)
	}
	var refused *helm.Error
	if !errors.As(err, &refused) {
		return in.problem("chart-template-failed", line(err), "correct the chart or the values")
	}
	switch refused.Kind {
	case helm.BadChart:
		return in.problem("chart-unreadable", refused.Error(), "correct the chart, or use another version of it")
	case helm.BadValues:
		return in.problem("chart-values-invalid", refused.Message, "correct spec.values, or what spec.valuesFrom names")
	}
	return in.problem("chart-template-failed", refused.Error(), "correct the values that the template uses, or use another version of the chart")
}

// install returns what a release installs. Equal releases of equal charts are rendered once.
func (r *Renderer) install(ctx context.Context, in releaseInput, s *releaseSpec, release *Release, from foundChart) (product, error) {
	values := release.Values
	key := productKey{chart: from.key, with: digest(
		release.Namespace, release.Name, release.ReleaseName, release.TargetNamespace, in.kubeVersion, in.apiVersions, values,
		s.Install, s.CommonMetadata, s.PostRenderers, s.PostRenderStrategy,
	)}
	made := r.helm.products.get(key, maxProducts, func() product {
		p, err := r.produce(ctx, in, s, release, from.chart, key)
		p.err = err
		return p
	})
	if made.err != nil && (errors.Is(made.err, context.Canceled) || errors.Is(made.err, context.DeadlineExceeded)) && ctx.Err() == nil {
		return r.produce(ctx, in, s, release, from.chart, key) // another one's context ended
	}
	return made, made.err
}

func (r *Renderer) produce(ctx context.Context, in releaseInput, s *releaseSpec, release *Release, c *helm.Chart, key productKey) (product, error) {
	name := keyOf("templates 1", string(key.chart[:]), string(key.with[:]))
	var rendered *helm.Rendered
	if release.SecretValues || !r.results.load(name, &rendered) || rendered == nil {
		var err error
		rendered, err = c.Render(ctx, helm.Release{
			Name: release.ReleaseName, Namespace: release.TargetNamespace, Values: release.Values,
			KubeVersion: in.kubeVersion, APIVersions: in.apiVersions, SkipSchema: s.Install.DisableSchemaValidation,
		})
		if err != nil {
			return product{}, err
		}
		if !release.SecretValues {
			r.results.keep(name, rendered)
		}
	}
	return r.postRender(s, release, rendered)
}

// digest is the digest of values that JSON can tell apart.
func digest(values ...any) [sha256.Size]byte {
	hash := sha256.New()
	encoder := json.NewEncoder(hash)
	for _, v := range values {
		if err := encoder.Encode(v); err != nil {
			fmt.Fprintf(hash, "%#v", v)
		}
	}
	return [sha256.Size]byte(hash.Sum(nil))
}
